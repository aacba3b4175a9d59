"""Feedback counters: the confusion counts of a classification, the sums of errors of a regression."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

from ..contract.schema import FieldSpec
from . import metrics, prediction_ids

#: Classes that are counted by name; those of a label with more are counted together, as "other".
MAX_CLASSES = 20
OTHER = "other"
#: Versions that are no longer served are counted by number up to this many, the others as "other": anyone can write an
#: id with a number that no version has.
MAX_UNSERVED_VERSIONS = 100
_unserved: set[int] = set()


def create_series(version: int, label: FieldSpec) -> None:
    """Create every series that feedback for a version may count in, with the value 0."""
    if label.kind == "float":
        metrics.FEEDBACK_ROWS.labels(version, "", "", "")
        metrics.ABSOLUTE_ERROR.labels(version)
        metrics.SQUARED_ERROR.labels(version)
        return
    classes = list(prediction_ids.class_names(label, MAX_CLASSES).values())
    for predicted, actual in product(classes, classes):
        metrics.FEEDBACK_ROWS.labels(version, predicted, actual, str(predicted == actual).lower())
    for correct in () if classes else ("true", "false"):
        metrics.FEEDBACK_ROWS.labels(version, OTHER, OTHER, correct)


def count(prediction: prediction_ids.DecodedId, label: FieldSpec, actual: Any, *, served: bool = True) -> None:
    """Update the confusion counts by one actual label; of a regression, the sums of errors."""
    code = prediction.code
    version: int | str = prediction.version
    if not served and version not in _unserved:
        if len(_unserved) < MAX_UNSERVED_VERSIONS:
            _unserved.add(prediction.version)
        else:
            version = OTHER
    if label.kind == "float":
        metrics.FEEDBACK_ROWS.labels(version, "", "", "").inc()
        error = prediction_ids.number_of(code) - actual
        if math.isfinite(error):
            metrics.ABSOLUTE_ERROR.labels(version).inc(abs(error))
            metrics.SQUARED_ERROR.labels(version).inc(error**2)
        return
    actual_code = prediction_ids.codes(np.array([actual]), label)[0]
    classes = prediction_ids.class_names(label, MAX_CLASSES)
    predicted_name, actual_name = classes.get(code, OTHER), classes.get(actual_code, OTHER)
    metrics.FEEDBACK_ROWS.labels(version, predicted_name, actual_name, str(code == actual_code).lower()).inc()
