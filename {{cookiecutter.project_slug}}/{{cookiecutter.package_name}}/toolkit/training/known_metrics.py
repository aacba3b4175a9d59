"""Metrics that are computed for a thousand resamples at once.

The owner's `metrics()` takes milliseconds for each. What equals one of these on the hold-out rows and on a resample,
for two versions, is taken for it, whatever its name.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..contract.columns import Columns
from ..contract.schema import Contract

Metric = Callable[[np.ndarray], np.ndarray]
"""How often each row is drawn (resamples, n) in, values (resamples,) out; NaN where the metric is not defined."""

#: The mean over rows of whether the label was predicted.
ACCURACY = "accuracy"


def of(label: np.ndarray, predictions: Columns, contract: Contract) -> dict[str, Metric]:
    """Return the metrics of predictions for labels (n,); none of several labels, and none without label."""
    if label.ndim != 1:
        return {}
    predicted = predictions[contract.label.name]
    if contract.task == "regression":
        return _regression(label.astype(np.float64), predicted.astype(np.float64))
    found = {ACCURACY: _mean(label == predicted)}
    if len(contract.classes) == 2:
        positive = label == contract.classes[1]
        found |= _counts(positive, predicted == contract.classes[1])
        if "probability" in predictions:
            found |= _binary(positive, predictions["probability"].astype(np.float64))
    elif "probabilities" in predictions and predictions["probabilities"].shape == (len(label), len(contract.classes)):
        columns = {name: i for i, name in enumerate(contract.classes)}
        where = np.array([columns.get(name, 0) for name in label.tolist()])
        found["log_loss"] = _log_loss(predictions["probabilities"].astype(np.float64)[np.arange(len(label)), where])
    return found


def _mean(values: np.ndarray) -> Metric:
    numbers = values.astype(np.float64)
    return lambda drawn: drawn @ numbers / drawn.sum(axis=1)


def _log_loss(probability: np.ndarray) -> Metric:
    smallest = np.finfo(np.float32).eps  # as scikit-learn has it for float32
    return _mean(-np.log(probability.clip(smallest, 1 - smallest)))


def _regression(actual: np.ndarray, predicted: np.ndarray) -> dict[str, Metric]:
    error, centred = predicted - actual, actual - actual.mean()
    mean_square, first, second = _mean(error**2), _mean(centred), _mean(centred**2)
    return {
        "mae": _mean(np.abs(error)),
        "mse": mean_square,
        "rmse": lambda drawn: np.sqrt(mean_square(drawn)),
        "mape": _mean(np.abs(error) / np.maximum(np.abs(actual), np.finfo(np.float64).eps)),
        "r2": lambda drawn: 1 - _ratio(mean_square(drawn), second(drawn) - first(drawn) ** 2, np.nan),
    }


def _counts(positive: np.ndarray, predicted: np.ndarray) -> dict[str, Metric]:
    both, either = _mean(positive & predicted), _mean(positive | predicted)
    of_positive, of_predicted, neither = _mean(positive), _mean(predicted), _mean(~positive & ~predicted)

    def balanced(drawn: np.ndarray) -> np.ndarray:
        share = of_positive(drawn)
        return (_ratio(both(drawn), share, np.nan) + _ratio(neither(drawn), 1 - share, np.nan)) / 2

    return {
        "precision": lambda drawn: _ratio(both(drawn), of_predicted(drawn), 0),
        "recall": lambda drawn: _ratio(both(drawn), of_positive(drawn), 0),
        "f1": lambda drawn: _ratio(2 * both(drawn), both(drawn) + either(drawn), 0),
        "balanced_accuracy": balanced,
    }


def _binary(positive: np.ndarray, probability: np.ndarray) -> dict[str, Metric]:
    order = np.argsort(-probability, kind="stable")
    starts = np.flatnonzero(np.diff(probability[order], prepend=np.inf))  # equal probabilities count as one
    hits = positive[order].astype(np.float64)

    def steps(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positive and negative rows of each probability, from the highest on (resamples, steps)."""
        ordered = drawn[:, order]
        true = np.add.reduceat(ordered * hits, starts, axis=1)
        return true, np.add.reduceat(ordered, starts, axis=1) - true

    def roc_auc(drawn: np.ndarray) -> np.ndarray:
        true, false = steps(drawn)
        pairs = (true * (false.sum(axis=1, keepdims=True) - false.cumsum(axis=1) + false / 2)).sum(axis=1)
        return _ratio(pairs, true.sum(axis=1) * false.sum(axis=1), np.nan)

    def average_precision(drawn: np.ndarray) -> np.ndarray:
        true, false = steps(drawn)
        precision = _ratio(true.cumsum(axis=1), (true + false).cumsum(axis=1), 0)
        return _ratio((true * precision).sum(axis=1), true.sum(axis=1), 0)

    return {
        "roc_auc": roc_auc,
        "average_precision": average_precision,
        "log_loss": _log_loss(np.where(positive, probability, 1 - probability)),
        "brier": _mean((probability - positive) ** 2),
    }


def _ratio(part: np.ndarray, whole: np.ndarray, otherwise: float) -> np.ndarray:
    """Return part / whole, where whole is not 0."""
    return np.divide(part, whole, out=np.full(part.shape, otherwise, dtype=np.float64), where=whole != 0)
