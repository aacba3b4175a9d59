"""Evaluation of a model on the hold-out rows: metrics, groups, gates, importance, drift."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..common.errors import UserError
from ..contract import dataframes
from ..contract.columns import Columns, output_values
from ..contract.schema import Contract
from ..version.artifact import Artifact
from ..version.reference_profile import Profile
from . import gates, labels
from .dataset import Dataset, LabelledRows
from .fitting import FittedModel
from .gates import Gate, GateResult
from .importance import Importance, importance

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


class ChampionMetrics(NamedTuple):
    """The champion's metrics on the hold-out rows, empty if there is nothing to compare with, and a note on it."""

    metrics: dict[str, float]
    note: str
    number: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """The results of a model on the hold-out rows."""

    predictions: Columns
    metrics: dict[str, float]
    groups: dict[str, int]
    gates: list[GateResult]
    champion: ChampionMetrics
    importance: Importance
    profile: Profile
    #: PSI of the hold-out rows against the training rows, by field.
    drift: dict[str, float]

    @property
    def failures(self) -> list[str]:
        """The reasons of the gates that failed."""
        return [gate.reason for gate in self.gates if not gate.passed]


def evaluate(model: FittedModel, data: Dataset, criteria: Criteria, champion: ChampionMetrics) -> Evaluation:
    """Return the results of a model on the hold-out rows, with the gates compared with the champion."""
    predictions = model.runtime.score(data.holdout.columns)
    measured = measure(data.holdout, predictions, criteria, data.contract)
    profile = Profile.of(
        data.contract,
        training=data.training.columns,
        holdout=data.holdout.columns,
        predictions=predictions,
        label=data.holdout.label,
    )
    return Evaluation(
        predictions=predictions,
        metrics=measured.metrics,
        groups=measured.groups,
        gates=gates.evaluate(criteria.gates, measured.metrics, champion.metrics),
        champion=champion,
        importance=importance(model.runtime, data.holdout, data.contract),
        profile=profile,
        drift=profile.drift(data.holdout.columns),
    )


def evaluate_champion(number: int, champion: Artifact, data: Dataset, criteria: Criteria) -> ChampionMetrics:
    """Return the champion's metrics on the hold-out rows; none if its schema differs."""
    metrics = evaluate_version(champion, data, criteria)
    if metrics is None:
        return ChampionMetrics({}, f"not comparable with the champion, version {number}, whose schema differs", number)
    return ChampionMetrics(metrics, f"compared with the champion, version {number}", number)


def evaluate_version(version: Artifact, data: Dataset, criteria: Criteria) -> dict[str, float] | None:
    """Return the metrics of a version on the hold-out rows, None if its schema does not fit them."""
    columns, violations = dataframes.check_features(data.holdout.table, version.contract)
    if violations or version.contract.prediction != data.contract.prediction:
        return None
    if version.contract.label_count != data.contract.label_count:
        return None
    predictions = _in_order_of(data.contract, version.runtime.score(columns), version.contract)
    return measure(data.holdout, predictions, criteria, data.contract).metrics


def _in_order_of(contract: Contract, predictions: Columns, made_by: Contract) -> Columns:
    """Return predictions with their probabilities in the order of another contract, if it has the same classes."""
    # Versions before format 3 have no classes; scikit-learn's order is ascending.
    wanted, found = list(contract.classes), list(made_by.classes or sorted(contract.classes))
    if wanted == found or set(wanted) != set(found):
        return predictions
    order = [found.index(name) for name in wanted]
    changed = dict(predictions)
    if "probabilities" in changed and changed["probabilities"].shape[1:] == (len(order),):
        changed["probabilities"] = changed["probabilities"][:, order]
    if "probability" in changed:
        changed["probability"] = 1 - changed["probability"]
    return changed


def measure(rows: LabelledRows, predictions: Columns, criteria: Criteria, contract: Contract) -> Measurement:
    """Compute the metrics of predictions on all rows and on each group of the columns in the slices."""

    def measured(part: LabelledRows, frame: pd.DataFrame) -> dict[str, float]:
        return _finite(criteria.metrics, labels.actual(part.label, part.table, contract), frame)

    frame = as_frame(predictions, contract)
    values, groups = measured(rows, frame), {}
    for column in criteria.slices:
        if column not in rows.table:
            raise UserError(f"model/quality.py: SLICES names {column!r}, which is no column of the data")
        for value, where in sorted(rows.table.groupby(column).indices.items(), key=lambda item: str(item[0])):
            if len(where) >= SMALLEST_GROUP:
                group = f"{column}/{value}"
                groups[group] = len(where)
                # Only where there is no label, the metrics get the table.
                table = rows.table.iloc[:, :0] if contract.labels else rows.table
                part = LabelledRows(table.iloc[where].reset_index(drop=True), {}, rows.label[where])
                numbers = measured(part, frame.iloc[where].reset_index(drop=True))
                values |= {f"{name}/{group}": number for name, number in numbers.items()}
    return Measurement(values, groups)


def as_frame(predictions: Columns, contract: Contract) -> pd.DataFrame:
    """Return predictions as a DataFrame: of a vector an array for each row, of a map a dict."""
    maps = {field.name: output_values(predictions[field.name], field) for field in contract.prediction if field.names}
    return pd.DataFrame({name: list(array) if array.ndim > 1 else array for name, array in predictions.items()} | maps)


def _finite(metrics: MetricsFunction, actual: Any, predictions: pd.DataFrame) -> dict[str, float]:
    with warnings.catch_warnings():  # a group of one class has no ROC curve: that metric is NaN, and left out
        warnings.simplefilter("ignore")
        found = metrics(actual, predictions)
    try:
        values = {name: float(value) for name, value in found.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"model/quality.py: metrics() returns a dict of numbers by name, not {found!r:.200}") from error
    return {name: value for name, value in values.items() if np.isfinite(value)}
