"""Explained variance and error."""

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error, r2_score

SLICES = ()
GATES = {"r2": {"at_least": 0.3}, "mae": {"at_most": 60, "tolerance": 1}}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the figures of merit."""
    predicted = predictions["progression"]
    return {"r2": r2_score(actual, predicted), "mae": mean_absolute_error(actual, predicted)}
