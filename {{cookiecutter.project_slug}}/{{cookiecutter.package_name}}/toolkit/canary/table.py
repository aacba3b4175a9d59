"""The figures of a step, as a table on the terminal, and as the registry keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..common import console
from .comparison import Figure
from .judgement import NAMES, interval, number

STYLES = {"not worse": "green", "worse": "bold red", "unclear": "yellow"}
#: What a figure is of, beside its criterion.
DETAILS = {"slow": "> {} s", "drift": "{}"}


def show(figures: Sequence[Figure], champion: int, challenger: int) -> None:
    """Print a table of figures."""
    if not figures:
        return
    rows = [
        [
            name(figure),
            number(figure.criterion, figure.champion),
            number(figure.criterion, figure.challenger),
            interval(figure),
            number(figure.criterion, figure.margin),
            f"{figure.counts[0]:,} and {figure.counts[1]:,}",
            figure.verdict,
        ]
        for figure in figures
    ]
    headings = ["", f"version {champion}", f"version {challenger}", "worse by (95 %)", "allowed", "of", ""]
    console.table(headings, rows, STYLES)
    console.say()


def name(figure: Figure) -> str:
    """Return the criterion in words, with what it is of."""
    detail = DETAILS.get(figure.criterion, "").format(figure.detail)
    return NAMES[figure.criterion] + (f" ({detail})" if detail else "")


def recorded(figure: Figure) -> dict[str, Any]:
    """Return a figure as the registry keeps it, with rounded numbers."""
    return {key: _rounded(value) for key, value in figure.model_dump(mode="json").items()}


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
