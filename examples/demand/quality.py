"""The error of the forecast, in loaves and as a share."""

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error

SLICES = ("shop", "promotion")

GATES = {
    "mape": {"at_most": 0.13, "tolerance": 0.005},
    "mape/shop/station": {"at_most": 0.15, "tolerance": 0.01},
}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the mean error in loaves, and as a share of what was sold."""
    predicted = predictions["sold"]
    return {"mae": mean_absolute_error(actual, predicted), "mape": mean_absolute_percentage_error(actual, predicted)}
