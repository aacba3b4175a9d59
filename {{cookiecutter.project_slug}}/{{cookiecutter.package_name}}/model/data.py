"""The labelled rows to learn from.

To make it yours, have `load` return a pandas DataFrame with the columns of `Row` and the label, one row an example,
from a file, a database or wherever your data lives; further columns are ignored. Rows that break the contract stop
the training with a list of what is wrong. `split` decides which rows the model never sees while it learns.
"""

from pathlib import Path

import pandas as pd

SOURCE = Path(__file__).parents[2] / "data" / "titanic.csv"


def load() -> pd.DataFrame:
    """Return every labelled row."""
    return pd.read_csv(SOURCE)


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and hold-out rows.

    A row's side follows from its content alone, so it stays there when others are added, twins never stand on both
    sides, and the champion is compared on rows that it has not learned. With rows in time order, cut at a date instead.
    """
    one_in_five = pd.util.hash_pandas_object(rows, index=False) % 5 == 0
    return rows[~one_in_five], rows[one_in_five]
