"""How far it is off."""

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error

SLICES = ("shop",)
GATES = {"mae": {"at_most": 20}}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the figures of merit."""
    return {"mae": mean_absolute_error(actual, predictions["sold"])}
