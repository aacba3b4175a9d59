"""Plots of a search: how it went on, which parameters matter, and which combinations are good."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("agg")  # no screen needed

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .objective import Objective
from .search import Trial

#: Of more parameters or more categories, texts lie on each other.
MOST_AXES, MOST_CATEGORIES, MOST_LETTERS = 12, 12, 18
#: The worst trials have no scale of their own: colours and axes show those above this quantile.
SHOWN_QUANTILE = 0.05
TICKS = 5


class Plotted(NamedTuple):
    """What the plots show: finished trials, the value of the parameters in use, and what matters how much."""

    trials: Sequence[Trial]
    objective: Objective
    in_use: float
    importance: dict[str, float]
    logarithmic: set[str]


def draw(folder: Path, search: Plotted) -> None:
    """Write the plots as PNG files to a folder; none of trials that all failed."""
    complete = [trial for trial in search.trials if trial.value is not None]
    if not complete:
        return
    figures = {"history": _history(search, complete)}
    if search.importance:
        figures["importance"] = _importance(search)
    if names := _common(complete):
        figures["parallel_coordinates"] = _parallel(search, complete, names)
    for name, figure in figures.items():
        figure.axes[0].set_title(f"{name.replace('_', ' ')}, {len(complete)} trials")
        figure.tight_layout()
        figure.savefig(folder / f"{name}.png", dpi=100)
        plt.close(figure)


def _values(trials: Sequence[Trial]) -> np.ndarray:
    return np.array([trial.value for trial in trials], dtype=np.float64)


def _limits(values: np.ndarray, objective: Objective) -> tuple[float, float]:
    """Return the range of values that is shown."""
    if objective.maximize:
        return float(np.quantile(values, SHOWN_QUANTILE)), float(values.max())
    return float(values.min()), float(np.quantile(values, 1 - SHOWN_QUANTILE))


def _history(search: Plotted, complete: Sequence[Trial]) -> Figure:
    values, numbers = _values(complete), [trial.number for trial in complete]
    best = (np.maximum if search.objective.maximize else np.minimum).accumulate(values)
    figure, axes = plt.subplots()
    axes.scatter(numbers, values, s=16, alpha=0.6, label="trial")
    axes.step(numbers, best, where="post", color="C1", label="best so far")
    axes.axhline(search.in_use, color="grey", linestyle="--", label="parameters in use")
    low, high = _limits(np.append(values, search.in_use), search.objective)
    if (margin := 0.08 * (high - low)) > 0:
        axes.set_ylim(low - margin, high + margin)
    # Above or below the axis: failed, or worse than what is shown.
    edge, marker = (0.02, "v") if search.objective.maximize else (0.98, "^")
    bottom, top = axes.get_ylim()
    hidden = [number for number, value in zip(numbers, values, strict=True) if not bottom <= value <= top]
    failed = [trial.number for trial in search.trials if trial.value is None]
    for found, shape, text in ((hidden, marker, "worse than shown"), (failed, "x", "failed")):
        if found:
            place = axes.get_xaxis_transform()
            axes.scatter(found, [edge] * len(found), s=24, marker=shape, color="C3", transform=place, label=text)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{search.objective.metric}, mean of the folds")
    _legend_below(axes)
    return figure


def _legend_below(axes: Any, height: float = -0.14) -> None:
    """Put the legend where it covers no point and no name of an axis."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, height), ncols=3, frameon=False, columnspacing=1.2)


def _importance(search: Plotted) -> Figure:
    top = dict(list(search.importance.items())[:20])
    figure, axes = plt.subplots(figsize=(6.4, 1.2 + 0.3 * len(top)))
    axes.barh(list(top), list(top.values()))
    axes.invert_yaxis()
    axes.set_xlabel(f"share of the differences in {search.objective.metric}")
    return figure


def _common(trials: Sequence[Trial]) -> list[str]:
    """Return the parameters that all trials have, and that differ between them."""
    names = [name for name in trials[0].suggested if all(name in trial.suggested for trial in trials)]
    return [name for name in names if len({trial.suggested[name] for trial in trials}) > 1][:MOST_AXES]


def _parallel(search: Plotted, trials: Sequence[Trial], names: Sequence[str]) -> Figure:
    """Return a line for each trial through its parameters and its value; better ones are darker and on top."""
    values = _values(trials)
    low, high = _limits(values, search.objective)
    columns = [_axis([t.suggested[name] for t in trials], logarithmic=name in search.logarithmic) for name in names]
    columns.append(_axis(list(values.clip(low, high)), logarithmic=False))
    figure, axes = plt.subplots(figsize=(max(6.4, 1.6 * len(columns)), 4.8))
    colours = plt.get_cmap("Blues")
    good = (values.clip(low, high) - low) / (high - low) if high > low else np.ones(len(values))
    good = good if search.objective.maximize else 1 - good
    heights = np.array([column.heights for column in columns])
    best = int(np.argmax(values if search.objective.maximize else -values))
    for i in np.argsort(good):
        axes.plot(heights[:, i], color=colours(0.2 + 0.7 * good[i]), linewidth=1.2)
    axes.plot(heights[:, best], color="C1", linewidth=2.4, label=f"best, trial {trials[best].number}")
    for x, column in enumerate(columns):
        axes.axvline(x, color="grey", linewidth=0.8)
        for height, text in column.ticks:
            axes.annotate(
                text, (x, height), (4, 0), textcoords="offset points", va="center", fontsize=8,
                bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.7},
            )  # fmt: skip
    axes.set_xticks(range(len(columns)), [_cut(name) for name in (*names, search.objective.metric)], rotation=20)
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(columns) - 0.5)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    _legend_below(axes, -0.24)
    return figure


class _Axis(NamedTuple):
    """Where the values of a parameter are on its axis, from 0 to 1, and the texts beside it."""

    heights: np.ndarray
    ticks: list[tuple[float, str]]


def _axis(values: list[Any], *, logarithmic: bool) -> _Axis:
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        known = list(dict.fromkeys(sorted(values, key=str)))
        place = {value: i / max(len(known) - 1, 1) for i, value in enumerate(known)}
        texts = [(place[value], _cut(str(value))) for value in known[:MOST_CATEGORIES]]
        return _Axis(np.array([place[value] for value in values]), texts)
    numbers = np.array(values, dtype=np.float64)
    low, high = numbers.min(), numbers.max()
    ticks = np.unique(np.geomspace(low, high, TICKS) if logarithmic else np.linspace(low, high, TICKS))
    if all(isinstance(value, int) for value in values):
        ticks = np.unique(ticks.round())

    def height(number: np.ndarray) -> np.ndarray:
        scaled, bottom, top = (np.log(n) if logarithmic else n for n in (number, low, high))
        return (scaled - bottom) / (top - bottom) if top > bottom else np.full(number.shape, 0.5)

    return _Axis(height(numbers), [(float(h), f"{t:.3g}") for h, t in zip(height(ticks), ticks, strict=True)])


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
