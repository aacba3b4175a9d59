"""Two thousand orders."""

import numpy as np
import pandas as pd

from .schema import PRODUCTS


def load() -> pd.DataFrame:
    """Return every labelled row."""
    random = np.random.default_rng(0)
    first, second = random.integers(0, 500, (2, 2000))
    names = np.array(PRODUCTS, dtype=object)
    rows = pd.DataFrame({"product": names[first], "second": names[second], "amount": random.normal(size=2000)})
    rows.loc[::10, "second"] = None
    return rows.assign(returned=(first % 5 == 0) ^ (random.random(2000) < 0.1))


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and hold-out rows."""
    return rows[rows.index % 4 != 0], rows[rows.index % 4 == 0]
