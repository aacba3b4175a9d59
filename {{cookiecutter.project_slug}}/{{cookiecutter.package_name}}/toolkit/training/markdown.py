"""Markdown: tables and numbers, for the model card and the report."""

from __future__ import annotations

from collections.abc import Sequence

from ..common.numbers import short
from . import comparison
from .gates import GateResult


def number(value: float | None) -> str:
    """Return a number with four digits, "" for None."""
    return "" if value is None else short(value)


def quoted(text: str) -> str:
    """Return a text that others wrote so that nothing in it is markup: as code on one line, without its backquotes."""
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def gate_table(gates: Sequence[GateResult], metric: str, champion: str) -> str:
    """Return a table of gates; the arguments after them are the headings of the metrics and of the champion's."""
    if not gates:
        return "None are set."
    compared = {gate.metric: gate.comparison for gate in gates if gate.comparison}
    headings = [
        metric,
        "bound",
        "this version",
        champion,
        *([comparison.heading(compared.values())] if compared else []),
    ]
    rows = []
    for gate in gates:
        change = [gate.comparison.change if gate.comparison else ""] if compared else []
        rows.append(
            [gate.metric, gate.bound, number(gate.value), number(gate.champion), *change, gate.reason or "passed"]
        )
    return "\n\n".join([table([*headings, "result"], rows), *comparison.notes(compared)])
