"""How often it is right."""

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score

SLICES = ("product",)
GATES = {"accuracy": {"at_least": 0.5}}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the figures of merit."""
    return {"accuracy": accuracy_score(actual, predictions["returned"])}
