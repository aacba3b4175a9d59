"""How often the rule is right."""

import numpy as np
import pandas as pd

SLICES = ("fare",)
GATES = {"accuracy": {"at_least": 0.99}}


def metrics(truth: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the figures of merit."""
    return {"accuracy": float((truth == predictions["seat"].to_numpy()).mean())}
