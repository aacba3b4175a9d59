"""Twelve hundred invented reviews; data/generate.py makes them."""

from pathlib import Path

import pandas as pd

SOURCE = Path(__file__).parents[2] / "data" / "sentiment.csv"


def load() -> pd.DataFrame:
    """Return every review with its sentiment."""
    return pd.read_csv(SOURCE)


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and hold-out rows: one in five, chosen by its text."""
    one_in_five = pd.util.hash_array(rows["review"].to_numpy(dtype=object)) % 5 == 0
    return rows[~one_in_five], rows[one_in_five]
