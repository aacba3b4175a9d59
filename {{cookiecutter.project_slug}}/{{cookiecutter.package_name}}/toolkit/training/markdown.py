"""Markdown: tables and numbers, for the model card and the report."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: float | None) -> str:
    """Return a number with four digits, "" for None."""
    return "" if value is None else f"{value:.4g}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
