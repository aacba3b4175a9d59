"""A thousand invented sales; data/generate.py makes them."""

from pathlib import Path

import pandas as pd

SOURCE = Path(__file__).parents[2] / "data" / "houses.csv"


def load() -> pd.DataFrame:
    """Return every sale with its price."""
    # As text: the zip code 01234 is no number.
    return pd.read_csv(SOURCE, dtype={"zip_code": str})


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and hold-out rows: one in five, chosen by content, so that a row stays on its side."""
    one_in_five = pd.util.hash_pandas_object(rows.astype(str), index=False) % 5 == 0
    return rows[~one_in_five], rows[one_in_five]
