"""Measurement: the owner's metrics of predictions, on all rows and on each group."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..common.errors import UserError
from ..contract.columns import Columns, output_values
from ..contract.schema import Contract
from . import labels
from .dataset import LabelledRows
from .gates import Gate

MetricsFunction = Callable[[Any, pd.DataFrame], dict[str, Any]]
"""The owner's `metrics`: actual labels, see `labels.actual`, and predictions with the fields of `Prediction` in."""

#: Metrics of smaller groups are mostly noise.
SMALLEST_GROUP = 10


class Criteria(NamedTuple):
    """What `model/quality.py` defines: the metrics, the columns whose groups are measured, the gates, the threshold."""

    metrics: MetricsFunction
    slices: Iterable[str]
    gates: Mapping[str, Gate]
    #: A probability, or the rule by which one is tuned; None where the model decides itself.
    threshold: Any = None


class Measurement(NamedTuple):
    """Metrics by name, those of groups as "metric/column/value", and the number of rows of each group."""

    metrics: dict[str, float]
    groups: dict[str, int]


def measure(rows: LabelledRows, predictions: Columns, criteria: Criteria, contract: Contract) -> Measurement:
    """Compute the metrics of predictions on all rows and on each group of the columns in the slices."""

    def measured(part: LabelledRows, frame: pd.DataFrame) -> dict[str, float]:
        return calculate(criteria.metrics, labels.actual(part.label, part.table, contract), frame)

    frame = as_frame(predictions, contract)
    values, sizes = measured(rows, frame), {}
    for group, where in groups(rows, criteria.slices):
        sizes[group] = len(where)
        numbers = measured(rows_at(rows, where, contract), frame.iloc[where].reset_index(drop=True))
        values |= {f"{name}/{group}": number for name, number in numbers.items()}
    return Measurement(values, sizes)


def groups(rows: LabelledRows, slices: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield "column/value" and the positions of each group that is large enough, of the columns in the slices."""
    for column in slices:
        if column not in rows.table:
            raise UserError(f"model/quality.py: SLICES names {column!r}, which is no column of the data")
        for value, where in sorted(rows.table.groupby(column).indices.items(), key=lambda item: str(item[0])):
            if len(where) >= SMALLEST_GROUP:
                yield f"{column}/{value}", np.asarray(where)


def rows_at(rows: LabelledRows, where: np.ndarray, contract: Contract) -> LabelledRows:
    """Return labelled rows at positions, with what the metrics get of them: only without label that is the table."""
    table = rows.table.iloc[:, :0] if contract.labels else rows.table
    return LabelledRows(table.iloc[where].reset_index(drop=True), {}, rows.label[where])


def as_frame(predictions: Columns, contract: Contract) -> pd.DataFrame:
    """Return predictions as a DataFrame: of a vector an array for each row, of a map a dict."""
    maps = {field.name: output_values(predictions[field.name], field) for field in contract.prediction if field.names}
    return pd.DataFrame({name: list(array) if array.ndim > 1 else array for name, array in predictions.items()} | maps)


def calculate(metrics: MetricsFunction, actual: Any, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the owner's metrics by name, without those that are not finite; `UserError` if they are no numbers."""
    with warnings.catch_warnings():  # a group of one class has no ROC curve: that metric is NaN, and left out
        warnings.simplefilter("ignore")
        found = metrics(actual, predictions)
    try:
        values = {name: float(value) for name, value in found.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"model/quality.py: metrics() returns a dict of numbers by name, not {found!r:.200}") from error
    return {name: value for name, value in values.items() if np.isfinite(value)}
