"""How good a model is on rows that it has not seen: metrics, groups, what matters to it; and rows to keep with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score, r2_score

from ..common.errors import UserError
from ..contract.columns import Columns, as_records, plain, take
from ..contract.schema import Contract
from ..version.artifact import Example
from ..version.runtime import Runtime
from .dataset import LabelledRows

Measure = Callable[[np.ndarray, pd.DataFrame], dict[str, float]]
"""The user's `metrics`: label (n,) and predictions with the fields of `Prediction` in, figures out."""

#: A smaller group says nothing.
SMALLEST_GROUP = 10
#: Every field's shuffled rows are scored several times; more rows and fields would take longer and say the same.
IMPORTANCE_ROWS, IMPORTANCE_FIELDS, IMPORTANCE_REPEATS = 1000, 100, 5
EXAMPLE_ROWS = 5
#: More would make explanations steadier and slower: 50 rows and 7 fields take a few milliseconds in a compiled model.
BACKGROUND_ROWS = 50


class Evaluation(NamedTuple):
    """Metrics by name, those of groups as "metric/column/value", and how many rows each group has."""

    metrics: dict[str, float]
    groups: dict[str, int]


def evaluate(rows: LabelledRows, predictions: Columns, measure: Measure, slices: Iterable[str]) -> Evaluation:
    """Measure predictions on all rows and on each group of the columns named in `slices`."""
    frame = pd.DataFrame({name: list(array) if array.ndim > 1 else array for name, array in predictions.items()})
    metrics, groups = _figures(measure, rows.label, frame), {}
    for column in slices:
        if column not in rows.table:
            raise UserError(f"model/quality.py: SLICES names {column!r}, which is no column of the data")
        for value, where in sorted(rows.table.groupby(column).indices.items(), key=lambda item: str(item[0])):
            if len(where) >= SMALLEST_GROUP:
                group = f"{column}/{value}"
                groups[group] = len(where)
                part = _figures(measure, rows.label[where], frame.iloc[where].reset_index(drop=True))
                metrics |= {f"{name}/{group}": figure for name, figure in part.items()}
    return Evaluation(metrics, groups)


def _figures(measure: Measure, truth: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    with warnings.catch_warnings():  # a group of one class has no ROC curve: that metric is NaN, and left out
        warnings.simplefilter("ignore")
        found = {name: float(value) for name, value in measure(truth, predictions).items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def importance(runtime: Runtime, rows: LabelledRows, contract: Contract) -> dict[str, float]:
    """Return how much accuracy (of a regression: R²) is lost when a field is shuffled, largest first."""
    names = [column.name for column in contract.row][:IMPORTANCE_FIELDS]
    where = np.arange(len(rows.label))[:IMPORTANCE_ROWS]
    figure = r2_score if contract.task == "regression" else accuracy_score

    # scikit-learn shuffles positions; the fields, vectors among them, are then taken from there.
    def score(_: Any, positions: pd.DataFrame, truth: np.ndarray) -> float:
        picked = {name: array[positions[name] if name in names else where] for name, array in rows.columns.items()}
        return float(figure(truth, runtime.score(picked)[contract.label.name]))

    positions = pd.DataFrame(dict.fromkeys(names, where))
    found = permutation_importance(
        _Stand(), positions, rows.label[where], scoring=score, n_repeats=IMPORTANCE_REPEATS, random_state=0
    )
    return dict(sorted(zip(names, found.importances_mean.tolist(), strict=True), key=lambda item: -item[1]))


class _Stand:
    """Stands where scikit-learn wants an estimator; the scoring function has the runtime."""

    def fit(self, *_: Any) -> None: ...


def example(runtime: Runtime, rows: LabelledRows, contract: Contract) -> Example:
    """Return the first rows as a caller would send them, with their predictions."""
    columns = take(rows.columns, np.arange(min(EXAMPLE_ROWS, len(rows.label))))
    values = {column.name: _sendable(columns[column.name], column.kind) for column in contract.row}
    records = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return Example(rows=records, predictions=as_records(runtime.score(columns), contract))


def background(rows: LabelledRows) -> Columns:
    """Return a sample of the rows, drawn with a fixed seed, against which predictions are explained."""
    count = len(rows.label)
    where = np.random.default_rng(0).choice(count, min(BACKGROUND_ROWS, count), replace=False)
    return take(rows.columns, np.sort(where))


def _sendable(array: np.ndarray, kind: str) -> list[Any]:
    if kind == "category":
        return [word or None for word in array]
    if kind == "vector":
        return plain(array)
    cast = {"int": int, "bool": bool}.get(kind, float)
    return [None if value is None else cast(value) for value in plain(array)]
