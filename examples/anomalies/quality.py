"""How many readings raise an alarm, and how many of the faults that were found out later are among them."""

import pandas as pd
from sklearn.metrics import average_precision_score, recall_score

SLICES = ()

GATES = {
    "alarms": {"at_most": 0.06},
    "faults_found": {"at_least": 0.6, "tolerance": 0.1},
}


def metrics(rows: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    """Return metrics by name; without a label, `rows` are the hold-out rows with all columns of `load`."""
    was_fault = rows["fault"].notna()
    return {
        "alarms": predictions["outlier"].mean(),
        "faults_found": recall_score(was_fault, predictions["outlier"]),
        "average_precision": average_precision_score(was_fault, -predictions["score"]),
    }
