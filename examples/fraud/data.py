"""Six thousand invented payments; data/generate.py makes them."""

from pathlib import Path

import pandas as pd

SOURCE = Path(__file__).parents[2] / "data" / "fraud.csv"
#: The payments from here on are held out: fraud changes, so a model is tried on what came later.
CUT = "2024-04-10"


def load() -> pd.DataFrame:
    """Return every payment, in the order of time."""
    return pd.read_csv(SOURCE)


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and hold-out rows: the past, and what came after."""
    is_past = pd.to_datetime(rows["paid"]) < pd.Timestamp(CUT)
    return rows[is_past], rows[~is_past]
