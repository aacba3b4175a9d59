"""The figures of a step in words: in a reason, as a table on the terminal, and as the registry keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..common import console
from .comparison import Figure

NAMES = {
    "errors": "errors",
    "slow": "slow requests",
    "rejected": "rejected requests",
    "drift": "prediction drift",
    "wrong": "wrong predictions",
    "error": "mean absolute error",
}
#: What a figure is of, beside its criterion.
DETAILS = {"slow": "> {} s", "drift": "{}"}
STYLES = {"not worse": "green", "worse": "bold red", "unclear": "yellow"}


def show(figures: Sequence[Figure], champion: int, challenger: int) -> None:
    """Print a table of figures."""
    if not figures:
        return
    rows = [
        [
            _name(figure),
            number(figure.criterion, figure.champion),
            number(figure.criterion, figure.challenger),
            _interval(figure),
            number(figure.criterion, figure.margin),
            f"{figure.counts[0]:,} and {figure.counts[1]:,}",
            figure.verdict,
        ]
        for figure in figures
    ]
    headings = ["", f"version {champion}", f"version {challenger}", "worse by (95 %)", "allowed", "of", ""]
    console.table(headings, rows, STYLES)
    console.say()


def describe(figure: Figure) -> str:
    """Return a figure in words: the criterion, both values, and the difference with its interval."""
    values = " instead of ".join(number(figure.criterion, value) for value in (figure.challenger, figure.champion))
    return f"{_name(figure)} {values} ({_interval(figure)})"


def number(criterion: str, value: float) -> str:
    """Return the value of a criterion: a share in percent, or a number."""
    return f"{value:.3g}" if criterion in ("drift", "error") else f"{100 * value:.1f} %"


def recorded(figure: Figure) -> dict[str, Any]:
    """Return a figure as the registry keeps it, with four significant digits."""
    values = figure.model_dump(mode="json")
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in values.items()}


def _name(figure: Figure) -> str:
    """Return the criterion in words, with what it is of."""
    detail = DETAILS.get(figure.criterion, "").format(figure.detail)
    return NAMES[figure.criterion] + (f" ({detail})" if detail else "")


def _interval(figure: Figure) -> str:
    """Return the difference with its interval, as in "+1.2 %, 0.4 % to 2.1 %"."""
    low, high = number(figure.criterion, figure.low), number(figure.criterion, figure.high)
    sign = "+" if figure.worse_by >= 0 else ""
    return f"{sign}{number(figure.criterion, figure.worse_by)}, {low} to {high}"
