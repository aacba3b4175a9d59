"""Plots: which there are, and that many rows and classes neither take long nor fill the memory."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pydantic import BaseModel, Field
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import plots


class Row(BaseModel):
    """One number."""

    amount: float


class Yes(BaseModel):
    """One of two classes."""

    label: bool
    probability: float


class Kind(BaseModel):
    """One of many classes."""

    label: int = Field(ge=0, le=499)


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the titles of what is saved."""
    found, save = [], Figure.savefig

    def saved(figure: Figure, *arguments: Any, **named: Any) -> None:
        found.append(figure.axes[0].get_title())
        save(figure, *arguments, **named)

    monkeypatch.setattr(Figure, "savefig", saved)
    return found


def test_plots_of_two_classes_say_on_how_many_rows(tmp_path: Path, titles: list[str]) -> None:
    rows = plots.MOST_ROWS + 1000
    probability = np.random.default_rng(0).random(rows, dtype=np.float32)
    actual = np.random.default_rng(1).random(rows) < probability
    contract = derive(Row, Yes).with_classes(actual)
    plots.draw(tmp_path, actual, {"label": probability > 0.5, "probability": probability}, {"amount": 0.1}, contract)
    names = {"confusion", "roc", "precision_recall", "calibration", "importance"}
    assert {path.stem for path in tmp_path.iterdir()} == names
    assert "roc, 50000 of 51000 hold-out rows" in titles


def test_confusion_of_500_classes_shows_the_most_frequent_in_seconds(tmp_path: Path, titles: list[str]) -> None:
    actual = np.arange(5000) % 500
    actual[:1000] = 499
    contract = derive(Row, Kind).with_classes(actual)
    start = time.process_time()
    plots.draw(tmp_path, actual, {"label": actual[::-1]}, {"amount": 0.1}, contract)
    assert time.process_time() - start < 20
    assert "confusion, 5000 hold-out rows" in titles
