"""Thresholds: the probability of the second class from which on that class is predicted.

It is set or tuned in `model/quality.py`, or comes from scikit-learn's FixedThresholdClassifier or
TunedThresholdClassifierCV, as the estimator or as its last step. In each case the contract of the version keeps it, and
the label follows from the probability, in ONNX and in Python alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.base import BaseEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from ..common.errors import UserError
from ..contract.schema import Contract
from . import fitting, labels
from .dataset import Dataset

Metric = Callable[[np.ndarray, np.ndarray], float]
"""Actual and predicted in, as bools (n,) that are True for the second class; a number out, the larger the better."""

METRICS: dict[str, Metric] = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "f1": metrics.f1_score,
    "jaccard": metrics.jaccard_score,
    "matthews_corrcoef": metrics.matthews_corrcoef,
    "precision": lambda actual, predicted: metrics.precision_score(actual, predicted, zero_division=0),
    "recall": metrics.recall_score,
}
EXAMPLE = (
    'For example: THRESHOLD = 0.3, THRESHOLD = {"maximize": "f1"}, or '
    'THRESHOLD = {"maximize": "recall", "at_least": {"precision": 0.5}}'
)
#: Folds of the training rows by which a threshold is tuned, and how many thresholds are tried.
FOLDS, CANDIDATES = 5, 200
#: Rows on which it is found out which class a wrapper's threshold is of.
TRIAL_ROWS = 1000


class Threshold(NamedTuple):
    """A threshold, and in a phrase where it comes from."""

    value: float
    note: str


def check(wanted: Any, contract: Contract, names: Iterable[str] = ()) -> None:
    """Raise `UserError` unless THRESHOLD of `model/quality.py` is None, a number or a rule, for two classes.

    `names` are the columns of the data.
    """
    if wanted is None:
        return
    if not contract.labels:
        raise UserError(labels.no_label(set(names), contract, "THRESHOLD of model/quality.py needs"))
    if len(contract.classes) != 2:
        found = len(contract.classes) or "no"
        raise UserError(
            f"model/quality.py: THRESHOLD is for two classes, and {contract.label.name} has {found} classes: remove it"
        )
    if isinstance(wanted, int | float) and not isinstance(wanted, bool):
        if not 0 <= wanted <= 1:
            raise UserError(f"model/quality.py: THRESHOLD is {wanted}; a probability is between 0 and 1")
    else:
        _rule(wanted)


def fit(estimator: Any, wanted: Any, data: Dataset) -> tuple[Any, Threshold | None]:
    """Fit an estimator on the training rows; return the one that serves, and the threshold of its probabilities.

    `wanted` is THRESHOLD of `model/quality.py`; a rule is tuned by cross-validation on the training rows.
    """
    final = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if wanted is not None and isinstance(final, FixedThresholdClassifier | TunedThresholdClassifierCV):
        raise UserError(f"THRESHOLD of model/quality.py and {type(final).__name__} of model/pipeline.py: remove one")
    if wanted is not None and not hasattr(estimator, "predict_proba") and isinstance(estimator, BaseEstimator):
        raise UserError(f"model/quality.py: THRESHOLD needs predict_proba(), which {type(final).__name__} has not")
    has_probability = any(field.name == "probability" for field in data.contract.prediction)
    if isinstance(wanted, int | float) and not hasattr(estimator, "predict_proba") and not has_probability:
        raise UserError(
            f"model/quality.py: THRESHOLD needs Prediction.probability, which {type(final).__name__} has to return: "
            "add it to model/schema.py, or remove THRESHOLD"
        )
    if isinstance(wanted, Mapping):
        return _tune(estimator, wanted, data)
    fitting.fit(estimator, data)
    if wanted is not None:
        return estimator, Threshold(float(wanted), "set in model/quality.py")
    return unwrap(estimator, data)


def _tune(estimator: Any, wanted: Mapping[str, Any], data: Dataset) -> tuple[Any, Threshold]:
    if not isinstance(estimator, BaseEstimator):
        raise UserError(
            f"model/quality.py: THRESHOLD is tuned for estimators of scikit-learn, and {type(estimator).__name__} is "
            "none: set a number, or return the label by your own rule"
        )
    metric, text = _rule(wanted)

    def score(actual: Any, predicted: Any, pos_label: Any) -> float:
        return float(metric(np.asarray(actual) == pos_label, np.asarray(predicted) == pos_label))

    tuned = TunedThresholdClassifierCV(
        estimator,
        scoring=metrics.make_scorer(score, pos_label=data.contract.classes[1]),
        response_method="predict_proba",
        thresholds=CANDIDATES,
        cv=FOLDS,
        random_state=0,
    )
    fitting.fit(tuned, data)
    note = f"tuned for {text}, {tuned.best_score_:.4g} in cross-validation on the training rows"
    return tuned.estimator_, Threshold(float(tuned.best_threshold_), note)


def _rule(wanted: Any) -> tuple[Metric, str]:
    """Return what a rule maximizes, and the rule as a phrase; `UserError` if it cannot be read."""
    known = isinstance(wanted, Mapping) and "maximize" in wanted and set(wanted) <= {"maximize", "at_least"}
    bounds = wanted.get("at_least", {}) if known else {}
    if not known or not isinstance(bounds, Mapping) or not all(isinstance(b, int | float) for b in bounds.values()):
        raise UserError(f"model/quality.py: THRESHOLD is {wanted!r:.200}, which is no number and no rule. {EXAMPLE}")
    metric, limits = _metric(wanted["maximize"]), [(_metric(name), bound) for name, bound in bounds.items()]
    text = " and ".join(f"{_name(name)} of at least {bound:g}" for name, bound in bounds.items())

    def bounded(actual: np.ndarray, predicted: np.ndarray) -> float:
        # Below every value that is allowed, and the better the nearer to the bounds.
        missing = sum(max(0.0, bound - limit(actual, predicted)) for limit, bound in limits)
        return -missing if missing else metric(actual, predicted)

    return bounded, _name(wanted["maximize"]) + (f" with {text}" if text else "")


def _metric(name: Any) -> Metric:
    if callable(name):
        return name
    if name not in METRICS:
        raise UserError(
            f"model/quality.py: THRESHOLD names {name!r}; known are {', '.join(METRICS)}, or a function of your own, "
            f"which gets actual and predicted as bools, True for the second class. {EXAMPLE}"
        )
    return METRICS[name]


def _name(metric: Any) -> str:
    return str(getattr(metric, "__name__", metric))


def unwrap(estimator: Any, data: Dataset) -> tuple[Any, Threshold | None]:
    """Return a fitted estimator without scikit-learn's wrapper of its last step, and the wrapper's threshold.

    An estimator without wrapper, or with one whose threshold is none of probabilities, stays as it is.
    """
    wrapper = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(wrapper, FixedThresholdClassifier | TunedThresholdClassifierCV):
        return estimator, None
    inner = wrapper.estimator_
    if wrapper.response_method == "decision_function" or not hasattr(inner, "predict_proba"):
        return estimator, None
    value = wrapper.best_threshold_ if isinstance(wrapper, TunedThresholdClassifierCV) else wrapper.threshold
    value = 0.5 if value == "auto" else float(value)
    if isinstance(estimator, Pipeline):
        inner = Pipeline([*estimator.steps[:-1], (estimator.steps[-1][0], inner)])
    features = fitting.training_frame(data).head(TRIAL_ROWS)
    threshold = _of_second_class(estimator, inner, value, features, data.contract)
    if threshold is None:
        return estimator, None
    return inner, Threshold(threshold, f"by {type(wrapper).__name__} in model/pipeline.py")


def _of_second_class(
    estimator: Any, inner: Any, value: float, features: pd.DataFrame, contract: Contract
) -> float | None:
    """Return a wrapper's threshold as one of the schema's second class; None if its labels do not follow from it."""
    predicted, probabilities, classes = estimator.predict(features), inner.predict_proba(features), list(inner.classes_)
    for positive in (1, 0):
        reached = probabilities[:, positive] >= value
        if (np.where(reached, classes[positive], classes[1 - positive]) == predicted).all():
            if classes[positive] == contract.classes[1]:
                return value
            # The second class, unless the first one reaches the threshold.
            return float(np.nextafter(np.float32(1 - value), np.float32(2)))
    return None
