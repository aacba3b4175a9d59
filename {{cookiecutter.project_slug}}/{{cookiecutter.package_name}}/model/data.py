"""The labelled rows for training and evaluation.

To make it yours, let `load` return a pandas DataFrame with the columns of `Row` and the label, one row per example,
from a file, a database or any other source; other columns are ignored. If rows break the contract, training stops and
lists the violations. `split` decides which rows are held out: the model is not fitted on them, but evaluated.
"""

from pathlib import Path

import pandas as pd

SOURCE = Path(__file__).parents[2] / "data" / "titanic.csv"


def load() -> pd.DataFrame:
    """Return every labelled row."""
    return pd.read_csv(SOURCE)


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and hold-out rows.

    The side depends on the row's content alone. So a row stays on its side when others are added, duplicates are on one
    side, and the champion is compared on rows that it was not fitted on. Cut rows in time order at a date instead.
    """
    content = rows.copy(deep=False)
    for name, dtype in rows.dtypes.items():
        if dtype == "object":
            content[name] = rows[name].map(str)  # vectors cannot be hashed, their texts can
    one_in_five = pd.util.hash_pandas_object(content, index=False) % 5 == 0
    return rows[~one_in_five], rows[one_in_five]
