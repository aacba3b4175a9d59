"""Feedback counters: the confusion counts of a classification, the sums of errors of a regression.

Several labels are counted as one: a row is correct if all of them are, and its error is the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def create_series(version: int, labels: Sequence[FieldSpec]) -> None:
    """Create every series that feedback for a version may count in, with the value 0; none without label."""
    if not labels:
        return
    label, *others = labels
    if label.kind == "float":
        metrics.FEEDBACK_ROWS.labels(version, "", "", "")
        metrics.ABSOLUTE_ERROR.labels(version)
        metrics.SQUARED_ERROR.labels(version)
        return
    classes = [] if others else list(prediction_ids.class_names(label, MAX_CLASSES).values())
    for predicted, actual in product(classes, classes):
        metrics.FEEDBACK_ROWS.labels(version, predicted, actual, str(predicted == actual).lower())
    for correct in () if classes else ("true", "false"):
        metrics.FEEDBACK_ROWS.labels(version, OTHER, OTHER, correct)


def count(
    prediction: prediction_ids.DecodedId, labels: Sequence[FieldSpec], actual: Sequence[Any], *, served: bool = True
) -> None:
    """Update the confusion counts by the actual labels of one row; of a regression, the sums of errors."""
    codes = prediction.codes
    version: int | str = prediction.version
    if not served and version not in _unserved:
        if len(_unserved) < MAX_UNSERVED_VERSIONS:
            _unserved.add(prediction.version)
        else:
            version = OTHER
    if labels[0].kind == "float":
        metrics.FEEDBACK_ROWS.labels(version, "", "", "").inc()
        errors = np.array([prediction_ids.number_of(code) for code in codes]) - np.array(actual, float)
        if np.isfinite(errors).all():
            metrics.ABSOLUTE_ERROR.labels(version).inc(float(np.abs(errors).mean()))
            metrics.SQUARED_ERROR.labels(version).inc(float((errors**2).mean()))
        return
    actual_codes = tuple(
        prediction_ids.codes(np.array([value]), label)[0] for value, label in zip(actual, labels, strict=True)
    )
    classes = prediction_ids.class_names(labels[0], MAX_CLASSES) if len(labels) == 1 else {}
    predicted_name, actual_name = classes.get(codes[0], OTHER), classes.get(actual_codes[0], OTHER)
    metrics.FEEDBACK_ROWS.labels(version, predicted_name, actual_name, str(codes == actual_codes).lower()).inc()
