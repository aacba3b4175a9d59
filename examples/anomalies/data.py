"""Two thousand invented readings; data/generate.py makes them."""

from pathlib import Path

import pandas as pd

SOURCE = Path(__file__).parents[2] / "data" / "anomalies.csv"


def load() -> pd.DataFrame:
    """Return every reading, in the order of time. Columns that are no fields stay for `metrics`."""
    return pd.read_csv(SOURCE)


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and hold-out rows: the past, and what came after."""
    cut = int(len(rows) * 0.6)
    return rows[:cut], rows[cut:]
