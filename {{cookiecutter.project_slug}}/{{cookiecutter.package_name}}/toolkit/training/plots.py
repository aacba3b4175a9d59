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
)

from ..contract.schema import Contract
from .samples import positions

#: More rows make no other picture, and take seconds.
MOST_ROWS = 50_000
#: With more classes, the numbers in a confusion matrix cannot be read, and half a million of them take an hour.
MOST_CLASSES = 20


def draw(
    folder: Path, actual: np.ndarray, predictions: Columns, importance: dict[str, float], contract: Contract
) -> None:
    """Write the plots as PNG files to a folder; `actual` has the labels (n,)."""
    rows, where = len(actual), positions(len(actual), MOST_ROWS)
    actual, predictions = actual[where], take(predictions, where)
    predicted = predictions[contract.label.name]
    if contract.task == "regression":
        figures = _regression(actual, predicted)
    else:
        figures = {"confusion": _confusion(actual, predicted)}
        if "probability" in predictions and len(np.unique(actual)) == 2:
            figures |= _binary(actual == contract.classes[-1], predictions["probability"])
    figures["importance"] = _bars(importance, "R²" if contract.task == "regression" else "accuracy")
    for name, figure in figures.items():
        plotted = f"{rows}" if rows == len(where) else f"{len(where)} of {rows}"
        figure.axes[0].set_title(f"{name.replace('_', ' ')}, {plotted} hold-out rows")
        figure.tight_layout()
        figure.savefig(folder / f"{name}.png", dpi=100)
        plt.close(figure)


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
