"""The feedback log: actual labels by prediction id, from the service's route and from files of labels alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import orjson

from ..contract.schema import FieldSpec
from . import prediction_ids
from .prediction_ids import DecodedId

#: Name of the log: the first part of the names of its files.
NAME = "feedback"
#: Combines the codes of several labels to one.
FACTOR = np.uint64(1_000_003)


class Label(NamedTuple):
    """The actual label of one prediction, or its labels: a value for each field."""

    id: str
    version: int
    actual: dict[str, Any]


def identify(text: Any, model: str) -> DecodedId | str:
    """Return what the id of a prediction of a model holds, or the reason why a value is none."""
    if not isinstance(text, str):
        return "expected the id of a prediction"
    return prediction_ids.decode(text, model) or "not the id of a prediction of this model"


def mismatch(prediction: DecodedId, labels: Sequence[FieldSpec]) -> str:
    """Return the reason why a prediction cannot have been one of these labels, "" if it can."""
    if len(prediction.codes) != max(1, len(labels)):
        return "the id of a version that is no longer served, and had other labels"
    return "" if labels else f"version {prediction.version} learned without a label"


def lines(labels: Iterable[Label], received: datetime) -> bytes:
    """Return labels as lines of the log."""
    return b"".join(
        orjson.dumps(
            {"time": received, "version": label.version, "id": label.id} | label.actual,
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for label in labels
    )


def label_numbers(arrays: Sequence[np.ndarray], labels: Sequence[FieldSpec]) -> np.ndarray:
    """Return 64 bits for each row that stand for its labels, given an array (n,) of each: equal ones are the same."""
    numbers = np.zeros(len(arrays[0]), np.uint64)
    for array, label in zip(arrays, labels, strict=True):
        numbers = numbers * FACTOR + np.array(prediction_ids.codes(array, label), np.uint64)
    return numbers
