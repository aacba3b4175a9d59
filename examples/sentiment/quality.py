"""How often the opinion is recognised."""

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, roc_auc_score

SLICES = ()

GATES = {"accuracy": {"at_least": 0.88, "tolerance": 0.01}, "roc_auc": {"at_least": 0.93, "tolerance": 0.01}}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return metrics by name."""
    return {
        "accuracy": accuracy_score(actual, predictions["sentiment"]),
        "roc_auc": roc_auc_score(actual == "positive", predictions["probability"]),
    }
