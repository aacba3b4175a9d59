"""Metrics, slices, gates and rules: how good a version is, how good it must be, and when to train again.

To make it yours, let `metrics` return the metrics that matter to you; name in `SLICES` the columns for whose groups the
metrics are computed too; and set in `GATES` what a version must reach to become champion:

    "at_least" or "at_most"    the bound on the hold-out rows
    "tolerance"                how much worse than the champion's, on the same rows, the metric may be (default 0)

or, in place of the tolerance, what the 95 % interval of the difference from the champion must show (docs/promotion.md):

    "better"                   by more than how much the version is better; 0 is by any difference
    "not_worse"                by how much it is at most worse
    "confidence"               of the interval (default 0.95)

A gate may name the metric of one group, for example "accuracy/sex/female".

Without `THRESHOLD`, the likelier of two classes is predicted. `THRESHOLD = 0.3` predicts the second one from that
probability on; `THRESHOLD = {"maximize": "f1"}` or `{"maximize": "recall", "at_least": {"precision": 0.5}}` has it
tuned, by cross-validation on the training rows.

`CANARY = {"errors": 0.001}` changes how much worse a canary's version may be (docs/promotion.md).

`make tune` searches by the metric of the first gate, or by another one: `TUNE = {"minimize": "log_loss"}`.

`make monitor` decides by `RULES`, on what is logged of the champion (docs/monitoring.md). A rule fires if a whole 95 %
interval lies beyond its bound:

    "metric"                   one of `metrics`, also of a group; "drift" (the largest of the features), "drift/age",
                               "output_drift", "missing/age", "outliers", or "age", the days since the training
    "above" or "below"         the bound
    "days"                     the last days that are measured (default 7)
    "rows"                     the fewest rows, or rows with labels, to decide by (default 200)
    "action"                   "retrain" (default), or "report"
"""

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

SLICES = ("sex", "passenger_class")

GATES = {
    "roc_auc": {"at_least": 0.80, "tolerance": 0.01},
    "log_loss": {"at_most": 0.50, "tolerance": 0.02},
    "accuracy": {"at_least": 0.75, "tolerance": 0.02},
    "accuracy/sex/female": {"at_least": 0.60, "tolerance": 0.05},
}

RULES = [
    {"metric": "drift", "above": 0.25, "days": 7, "action": "retrain"},
    {"metric": "accuracy", "below": 0.75, "days": 30, "action": "retrain"},
    {"metric": "outliers", "above": 0.05, "days": 7, "action": "report"},
]


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    """Return metrics by name; `actual` has the labels (n,), `predictions` n rows with the fields of `Prediction`.

    Of several labels, `actual` is a DataFrame with a column for each; without label, it is the rows of `load`.
    """
    probability = predictions["probability"]
    return {
        "accuracy": accuracy_score(actual, predictions["survived"]),
        "roc_auc": roc_auc_score(actual, probability),
        "log_loss": log_loss(actual, probability, labels=[False, True]),
        "brier": brier_score_loss(actual, probability),
    }
