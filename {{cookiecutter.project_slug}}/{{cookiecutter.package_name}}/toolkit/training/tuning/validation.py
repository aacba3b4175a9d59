"""Cross-validation: parameters are measured on each fold as a version is on the hold-out rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...common.errors import UserError
from ...contract.columns import take
from .. import labels, threshold
from ..dataset import Dataset, LabelledRows
from ..export.onnx_export import OnnxExport
from ..fitting import FittedModel
from ..measurement import Criteria, as_frame, calculate
from .folds import Fold


class OutOfTimeError(Exception):
    """The time for the search is over in the middle of a trial."""


class TrialError(Exception):
    """A trial failed, with the reason in a sentence."""


class Scores(NamedTuple):
    """The metric of the objective on each fold, and the means of all metrics."""

    folds: list[float]
    means: dict[str, float]

    @property
    def mean(self) -> float:
        """The mean over the folds, which is what the search compares."""
        return float(np.mean(self.folds))


def cross_validate(
    build: Callable[[], Any],
    rows: Dataset,
    folds: Sequence[Fold],
    criteria: Criteria,
    metric: str,
    in_time: Callable[[], bool] = lambda: True,
) -> Scores:
    """Fit a new estimator on each fold and measure it; `TrialError` if that fails, `OutOfTimeError` between folds."""
    found = []
    for fold in folds:
        if not in_time():
            raise OutOfTimeError
        try:
            found.append(_measure(build(), _of_fold(rows, fold), criteria))
        except Exception as error:  # estimators raise exceptions of many kinds
            text = (str(error).strip() or "no message").splitlines()[0]
            name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            raise TrialError(f"{name}{text[:300]}") from error
        if metric not in found[-1]:
            known = ", ".join(found[-1]) or "none"
            raise TrialError(f"metrics() of model/quality.py returns no finite {metric!r} on a fold, but {known}")
    means = {name: float(np.mean([one[name] for one in found])) for name in found[0] if all(name in o for o in found)}
    return Scores([one[metric] for one in found], means)


def _of_fold(rows: Dataset, fold: Fold) -> Dataset:
    """Return the rows of a fold as those of a training, whose hold-out rows are the validation rows."""
    training, validation = (_at(rows.training, where) for where in fold)
    return Dataset(rows.contract, rows.source, training.without_table(), validation, rows.features)


def _at(rows: LabelledRows, where: np.ndarray) -> LabelledRows:
    return LabelledRows(rows.table.iloc[where].reset_index(drop=True), take(rows.columns, where), rows.label[where])


def _measure(estimator: Any, rows: Dataset, criteria: Criteria) -> dict[str, float]:
    estimator, tuned = threshold.fit(estimator, criteria.threshold, rows)
    contract = rows.contract
    if tuned:
        contract = contract.model_copy(update={"threshold": tuned.value})
    fitted = FittedModel(estimator, OnnxExport(None, ""), contract, features=rows.features)
    predictions = as_frame(fitted.runtime.score(rows.holdout.columns), contract)
    actual = labels.actual(rows.holdout.label, rows.holdout.table, contract)
    return calculate(criteria.metrics, actual, predictions)
