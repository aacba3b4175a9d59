"""scikit-learn's handwritten digits."""

import pandas as pd
from sklearn.datasets import load_digits


def load() -> pd.DataFrame:
    """Return every labelled row."""
    images, digits = load_digits(return_X_y=True)
    return pd.DataFrame({"pixels": list(images), "digit": digits})


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and hold-out rows."""
    held_out = rows.index % 5 == 0
    return rows[~held_out], rows[held_out]
