"""How far predicted prices are off."""

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_percentage_error, r2_score

SLICES = ("kind",)

GATES = {
    "mape": {"at_most": 0.09, "tolerance": 0.005},
    "r2": {"at_least": 0.9},
    "mape/kind/apartment": {"at_most": 0.1, "tolerance": 0.01},
}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the mean error as a share of the price, and the share of variance that is explained."""
    predicted = predictions["price"]
    return {"mape": mean_absolute_percentage_error(actual, predicted), "r2": r2_score(actual, predicted)}
