"""How often the direction is right."""

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, roc_auc_score

SLICES = ("day_1",)
GATES = {"accuracy": {"at_least": 0.55}, "roc_auc": {"at_least": 0.55}}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the figures of merit."""
    return {
        "accuracy": accuracy_score(actual, predictions["direction"]),
        "roc_auc": roc_auc_score(actual == "up", predictions["probability"]),
    }
