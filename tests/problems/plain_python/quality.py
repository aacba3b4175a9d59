"""How often the rule is right."""

import numpy as np
import pandas as pd

SLICES = ("fare",)
GATES = {"accuracy": {"at_least": 0.99}}


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the figures of merit."""
    return {"accuracy": float((actual == predictions["seat"].to_numpy()).mean())}
