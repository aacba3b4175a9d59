"""Plots of a version's quality on the hold-out rows."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from ..contract.columns import Columns

matplotlib.use("agg")  # no screen needed

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
)

from ..contract.schema import Contract


def draw(
    folder: Path, actual: np.ndarray, predictions: Columns, importance: dict[str, float], contract: Contract
) -> None:
    """Write the plots as PNG files to a folder; `actual` has the labels (n,)."""
    predicted = predictions[contract.label.name]
    if contract.task == "regression":
        figures = _regression(actual, predicted)
    else:
        figures = {"confusion": ConfusionMatrixDisplay.from_predictions(actual, predicted, cmap="Blues").figure_}
        if "probability" in predictions and len(np.unique(actual)) == 2:
            figures |= _binary(actual == contract.classes[-1], predictions["probability"])
    figures["importance"] = _bars(importance, "R²" if contract.task == "regression" else "accuracy")
    for name, figure in figures.items():
        figure.axes[0].set_title(f"{name.replace('_', ' ')}, {len(actual)} hold-out rows")
        figure.tight_layout()
        figure.savefig(folder / f"{name}.png", dpi=100)
        plt.close(figure)


def _regression(actual: np.ndarray, predicted: np.ndarray) -> dict[str, Figure]:
    kinds = {"predicted": "actual_vs_predicted", "residuals": "residual_vs_predicted"}
    return {
        name: PredictionErrorDisplay.from_predictions(actual, predicted, kind=kind).figure_
        for name, kind in kinds.items()
    }


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
