"""What is caught, and how many honest payments are stopped; accuracy would be 99 % for a model that stops none."""

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, precision_score, recall_score

# At 0.5, half of the frauds would pass. The threshold is tuned on the training rows.
THRESHOLD = {"maximize": "recall", "at_least": {"precision": 0.5}}

SLICES = ("online",)

GATES = {
    "average_precision": {"at_least": 0.5, "tolerance": 0.05},
    "recall": {"at_least": 0.4, "tolerance": 0.05},
    "precision": {"at_least": 0.3, "tolerance": 0.05},
}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return metrics by name."""
    return {
        "average_precision": average_precision_score(actual, predictions["probability"]),
        "precision": precision_score(actual, predictions["fraud"], zero_division=0),
        "recall": recall_score(actual, predictions["fraud"]),
    }
