"""Two years of days, and a split at a date."""

import numpy as np
import pandas as pd


def load() -> pd.DataFrame:
    """Return every labelled row, in time order."""
    random = np.random.default_rng(0)
    days = np.arange(730)
    sold = 100 + days + random.normal(0, 5, 730)
    rows = pd.DataFrame({"days": days, "yesterday": np.roll(sold, 1), "sold": sold, "date": days})
    return rows.assign(shop=np.where(days < 500, "north", "south"))[1:]


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the past, and what came after."""
    return rows[rows["date"] < 600], rows[rows["date"] >= 600]
