"""Four metrics, of all rows and of the groups of two columns."""

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

SLICES = ("region", "purpose")
GATES = {"roc_auc": {"at_least": 0.6}}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return metrics by name."""
    probability = predictions["probability"]
    return {
        "accuracy": accuracy_score(actual, predictions["repaid"]),
        "roc_auc": roc_auc_score(actual, probability),
        "log_loss": log_loss(actual, probability, labels=[False, True]),
        "brier": brier_score_loss(actual, probability),
    }
