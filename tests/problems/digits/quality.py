"""How many digits are read right."""

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score

SLICES = ()
GATES = {"accuracy": {"at_least": 0.9}}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the figures of merit."""
    read = predictions["digit"]
    return {"accuracy": accuracy_score(actual, read), "f1": f1_score(actual, read, average="macro")}
