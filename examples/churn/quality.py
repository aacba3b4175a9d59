"""How well those who leave are told from those who stay."""

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

SLICES = ()

GATES = {"roc_auc": {"at_least": 0.85, "tolerance": 0.01}, "log_loss": {"at_most": 0.5, "tolerance": 0.02}}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return metrics by name."""
    probability = predictions["probability"]
    return {"roc_auc": roc_auc_score(actual, probability), "log_loss": log_loss(actual, probability)}
