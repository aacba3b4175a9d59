"""Plots of a version's quality on the hold-out rows."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from ..contract.columns import Columns, take

matplotlib.use("agg")  # no screen needed

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
    precision_recall_curve,
)

from ..contract.schema import Contract, FieldSpec
from ..version.outputs import SCORE
from .samples import positions

#: More rows make no other picture, and take seconds.
MOST_ROWS = 50_000
#: With more classes, the numbers in a confusion matrix cannot be read, and half a million of them take an hour.
MOST_CLASSES = 20
#: Of more labels, and of more values of a prediction, there are no plots.
MOST_LABELS, MOST_VALUES = 6, 20


def draw(
    folder: Path, actual: np.ndarray, predictions: Columns, importance: dict[str, float], contract: Contract
) -> None:
    """Write the plots as PNG files to a folder; `actual` has the labels (n,), of several (n, labels)."""
    rows, where = len(actual), positions(len(actual), MOST_ROWS)
    actual, predictions = actual[where], take(predictions, where)
    figures: dict[str, Figure] = {}
    for field, label in zip(contract.labels[:MOST_LABELS], actual.reshape(len(actual), -1).T, strict=False):
        found = _of_label(label, predictions, field, contract)
        figures |= {f"{name}_{field.name}": figure for name, figure in found.items()} if actual.ndim > 1 else found
    if not contract.labels:
        figures["predictions"] = _distribution(predictions, contract)
    lost = "R²" if contract.label.kind == "float" else "accuracy"
    figures["importance"] = _bars(importance, lost if contract.labels else f"{lost} against unshuffled predictions")
    for name, figure in figures.items():
        plotted = f"{rows}" if rows == len(where) else f"{len(where)} of {rows}"
        figure.axes[0].set_title(f"{name.replace('_', ' ')}, {plotted} hold-out rows")
        figure.tight_layout()
        figure.savefig(folder / f"{name}.png", dpi=100)
        plt.close(figure)


def _of_label(actual: np.ndarray, predictions: Columns, label: FieldSpec, contract: Contract) -> dict[str, Figure]:
    predicted = predictions[label.name]
    if contract.task == "regression":
        return _regression(actual, predicted)
    figures = {"confusion": _confusion(actual, predicted)}
    if "probability" in predictions and len(np.unique(actual)) == 2:
        figures |= _binary(actual == contract.classes[-1], predictions["probability"])
        if contract.threshold is not None:
            figures["threshold"] = _threshold(actual, predictions["probability"], contract)
    return figures


def _threshold(actual: np.ndarray, probability: np.ndarray, contract: Contract) -> Figure:
    """Return precision and recall by threshold, with the one that is used."""
    precision, recall, thresholds = precision_recall_curve(actual == contract.classes[-1], probability)
    figure, axes = plt.subplots()
    axes.plot(thresholds, precision[:-1], label="precision")
    axes.plot(thresholds, recall[:-1], label="recall")
    axes.axvline(contract.threshold or 0, color="grey", linestyle="--", label=f"threshold {contract.threshold:.3g}")
    axes.set_xlabel(f"threshold of the probability of {contract.classes[-1]}")
    axes.legend()
    return figure


def _distribution(predictions: Columns, contract: Contract) -> Figure:
    """Return how often each value of the first field is predicted, and how `score` is distributed."""
    fields = [f for f in contract.prediction if f == contract.label or (f.name == SCORE and f.kind == "float")]
    figure, grid = plt.subplots(1, len(fields), squeeze=False, figsize=(6.4 * len(fields), 4.8))
    for field, axes in zip(fields, grid[0], strict=True):
        values = predictions[field.name]
        if field.kind == "float":
            axes.hist(values[np.isfinite(values)], bins=40)
        else:
            found, counts = np.unique(values, return_counts=True)
            axes.bar([str(value) for value in found[:MOST_VALUES]], counts[:MOST_VALUES])
        axes.set_xlabel(field.name)
    return figure


def _regression(actual: np.ndarray, predicted: np.ndarray) -> dict[str, Figure]:
    kinds = {"predicted": "actual_vs_predicted", "residuals": "residual_vs_predicted"}
    return {
        name: PredictionErrorDisplay.from_predictions(actual, predicted, kind=kind).figure_
        for name, kind in kinds.items()
    }


def _confusion(actual: np.ndarray, predicted: np.ndarray) -> Figure:
    """Return the confusion matrix; if there are many classes, of the most frequent ones and of the rows among these."""
    classes = pd.concat([pd.Series(actual), pd.Series(predicted)]).value_counts().index
    if len(classes) <= MOST_CLASSES:
        return ConfusionMatrixDisplay.from_predictions(actual, predicted, cmap="Blues").figure_
    figure, axes = plt.subplots(figsize=(9.6, 8))
    labels = sorted(classes[:MOST_CLASSES])
    ConfusionMatrixDisplay.from_predictions(
        actual, predicted, labels=labels, cmap="Blues", xticks_rotation="vertical", ax=axes
    )
    axes.set_xlabel(f"predicted, {MOST_CLASSES} most frequent of {len(classes)} classes")
    return figure


def _binary(positive: np.ndarray, probability: np.ndarray) -> dict[str, Figure]:
    p = probability.astype(np.float64).clip(0, 1)
    return {
        "roc": RocCurveDisplay.from_predictions(positive, p, plot_chance_level=True).figure_,
        "precision_recall": PrecisionRecallDisplay.from_predictions(positive, p, plot_chance_level=True).figure_,
        "calibration": CalibrationDisplay.from_predictions(positive, p, n_bins=8, strategy="quantile").figure_,
    }


def _bars(importance: dict[str, float], metric: str) -> Figure:
    top = dict(list(importance.items())[:20])
    figure, axes = plt.subplots(figsize=(6.4, 1.2 + 0.3 * len(top)))
    axes.barh(list(top), list(top.values()))
    axes.invert_yaxis()
    axes.set_xlabel(f"{metric} lost when the field is shuffled")
    return figure
