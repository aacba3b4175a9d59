"""Checks before anything is fitted, of mistakes in `model/` that would show only afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..common.errors import UserError
from ..contract.schema import Contract
from ..version.outputs import PROBABILITY_FIELDS
from . import metrics_trial, threshold
from .dataset import Dataset
from .gates import Gate
from .measurement import SMALLEST_GROUP, Criteria


def check_estimator(estimator: Any) -> None:
    """Raise `UserError` unless build() returned an object that can predict."""
    if isinstance(estimator, type):
        name = estimator.__name__
        raise UserError(f"model/pipeline.py: build() returned the class {name}; return an object of it: {name}()")
    if not hasattr(estimator, "predict"):
        raise UserError(f"model/pipeline.py: build() returned {type(estimator).__name__}, which has no predict()")


def check_probabilities(estimator: Any, data: Dataset) -> None:
    """Raise `UserError` if scikit-learn's estimator cannot give the probabilities that `Prediction` has."""
    contract = data.contract
    names = [field.name for field in contract.prediction if field.name in PROBABILITY_FIELDS]
    final = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    # Other estimators may return these fields themselves.
    if contract.task == "regression" or not names or not type(final).__module__.startswith("sklearn."):
        return
    if not hasattr(estimator, "predict_proba"):
        raise UserError(
            f"model/pipeline.py: {type(final).__name__} has no predict_proba(), from which Prediction.{names[0]} "
            "comes: choose a setting or an estimator that has it, or remove the field from model/schema.py"
        )
    if contract.task == "unsupervised":
        return
    if contract.label_count > 1:
        _check_several(contract, names)
        return
    classes = len(data.contract.classes)
    length = next((field.length for field in contract.prediction if field.name == "probabilities"), None)
    if length not in (None, classes):
        found = ", ".join(map(repr, contract.classes[:20]))
        raise UserError(
            f"Prediction.probabilities has the length {length}, and the training rows have {classes} classes: {found}. "
            "Correct the length in model/schema.py, or have split() leave rows of every class for training"
        )
    if "probability" in names and classes != 2:
        raise UserError(
            f"Prediction.probability is that of the second of two classes, and the training rows have {classes}: "
            "replace it in model/schema.py by probabilities: list[float] = "
            f"Field(min_length={classes}, max_length={classes})"
        )


def _check_several(contract: Contract, names: list[str]) -> None:
    """Raise `UserError` for probabilities that several labels do not have."""
    others = [name for name in names if name != "probabilities"]
    if others or contract.label.kind != "bool":
        cure = "probabilities, of which each is that one label is true" if contract.label.kind == "bool" else "none"
        raise UserError(
            f"Prediction.{(others or names)[0]}: of several labels of type {contract.label.kind} there are {cure}; "
            "correct model/schema.py"
        )
    length = next(field.length for field in contract.prediction if field.name == "probabilities")
    if length != contract.label_count:
        raise UserError(
            f"Prediction.probabilities has the length {length}, and there are {contract.label_count} labels: correct "
            "the length in model/schema.py"
        )


def check_criteria(criteria: Criteria, data: Dataset, folder: Path = Path("model")) -> None:
    """Raise `UserError` if threshold, slices, metrics or gates of `quality.py`, in this folder, do not fit the data."""
    threshold.check(criteria.threshold, data.contract, map(str, data.holdout.table.columns))
    groups = _groups(criteria.slices, data.holdout.table)
    names = metrics_trial.names(criteria.metrics, data.holdout, data.contract, folder)
    if names:
        _check_gates(criteria.gates, names, groups)


def _groups(slices: Iterable[str], table: pd.DataFrame) -> dict[str, int]:
    """Return the number of rows of each group, by "column/value"."""
    if isinstance(slices, str) or not isinstance(slices, Iterable):
        raise UserError(
            f"model/quality.py: SLICES is {slices!r}; it must be a tuple of columns: SLICES = ({slices!r},)"
        )
    groups: dict[str, int] = {}
    for column in slices:
        if column not in table:
            columns = ", ".join(map(str, table.columns[:50]))
            raise UserError(f"model/quality.py: SLICES names {column!r}, which is no column of the data: {columns}")
        try:
            groups |= {f"{column}/{value}": len(rows) for value, rows in table.groupby(column).indices.items()}
        except TypeError:
            raise UserError(f"model/quality.py: SLICES names {column!r}, whose values form no groups") from None
    return groups


def _check_gates(gates: Mapping[str, Gate], names: list[str], groups: Mapping[str, int]) -> None:
    for gate in gates:
        metric, _, group = gate.partition("/")
        if gate in names:
            continue
        problem = "" if metric in names else f"metrics() returns no {metric!r}, but {', '.join(names)}"
        if not problem and group not in groups:
            known = ", ".join(list(groups)[:50]) or "none; SLICES is empty"
            problem = f"there is no group {group!r} in the hold-out rows; the groups are {known}"
        elif not problem and groups[group] < SMALLEST_GROUP:
            problem = f"the group has {groups[group]} hold-out rows; metrics need {SMALLEST_GROUP} or more"
        if problem:
            raise UserError(f"model/quality.py: GATES names {gate!r}: {problem}")
