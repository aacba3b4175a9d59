"""Pictures of a version's quality, drawn from the hold-out rows."""

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
    folder: Path, truth: np.ndarray, predictions: Columns, importances: dict[str, float], contract: Contract
) -> list[str]:
    """Write one PNG a plot into a folder and return their names."""
    label = predictions[contract.label.name]
    figures: dict[str, Figure] = {}
    if contract.task == "regression":
        for name, kind in (("predicted", "actual_vs_predicted"), ("residuals", "residual_vs_predicted")):
            figures[name] = PredictionErrorDisplay.from_predictions(truth, label, kind=kind).figure_
    else:
        figures["confusion"] = ConfusionMatrixDisplay.from_predictions(truth, label, cmap="Blues").figure_
        if "probability" in predictions and len(np.unique(truth)) == 2:
            positive = truth == np.unique(truth)[1]
            probability = predictions["probability"].astype(np.float64).clip(0, 1)
            figures["roc"] = RocCurveDisplay.from_predictions(positive, probability, plot_chance_level=True).figure_
            display = PrecisionRecallDisplay.from_predictions(positive, probability, plot_chance_level=True)
            figures["precision_recall"] = display.figure_
            display = CalibrationDisplay.from_predictions(positive, probability, n_bins=8, strategy="quantile")
            figures["calibration"] = display.figure_
    figures["importance"] = _bars(importances, "R²" if contract.task == "regression" else "accuracy")
    for name, figure in figures.items():
        figure.axes[0].set_title(f"{name.replace('_', ' ')}, {len(truth)} hold-out rows")
        figure.tight_layout()
        figure.savefig(folder / f"{name}.png", dpi=100)
        plt.close(figure)
    return list(figures)


def _bars(importances: dict[str, float], figure_of_merit: str) -> Figure:
    top = dict(list(importances.items())[:20])
    figure, axes = plt.subplots(figsize=(6.4, 1.2 + 0.3 * len(top)))
    axes.barh(list(top), list(top.values()))
    axes.invert_yaxis()
    axes.set_xlabel(f"{figure_of_merit} lost when the field is shuffled")
    return figure
