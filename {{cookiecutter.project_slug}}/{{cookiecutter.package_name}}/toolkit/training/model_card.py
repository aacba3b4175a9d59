"""The model card: what a version is, how good it is and where it comes from, in Markdown."""

from __future__ import annotations

from typing import Any

from ..contract.schema import Contract
from .gates import GateResult


def write(details: dict[str, Any], contract: Contract, verdicts: list[GateResult]) -> str:
    """Return the card of a version; `details` is what the artifact records."""
    data = details["data"]
    parts = [
        f"# {details['project']}",
        details["description"],
        f"Trained {details['trained']} by {details['author']}, commit `{details['commit']}`, "
        f"on {data['training_rows']} rows, measured on {data['holdout_rows']} others (data digest `{data['digest']}`). "
        f"Served by the {details['runtime']} runtime: {details['runtime_note']}.",
        "## Gates",
        _table(
            ["metric", "bound", "this version", "champion then", ""],
            [
                [v.metric, v.bound, _number(v.value), _number(v.champion), "passed" if v.passed else v.reason]
                for v in verdicts
            ],
        )
        if verdicts
        else "None are set.",
        "## Metrics on the hold-out rows",
        _table(
            ["metric", "value"],
            [[name, _number(value)] for name, value in details["metrics"].items() if "/" not in name],
        ),
    ]
    groups = {name: value for name, value in details["metrics"].items() if "/" in name}
    if groups:
        parts += ["## Groups", _groups(groups, details["groups"])]
    parts += [
        "## What matters to it",
        "How much is lost when the values of one field are shuffled among the hold-out rows.",
        _table(["field", "loss"], [[name, f"{value:.3f}"] for name, value in list(details["importance"].items())[:20]]),
        "## Drift and outliers",
        "How far the hold-out rows are from those of the training (the population stability index; 0.25 is a shift). "
        f"What is scored is compared in the same way. Of the hold-out rows, {details['outliers']:.1%} are outliers.",
        _table(["field", "shift"], [[name, f"{value:.3f}"] for name, value in list(details["shift"].items())[:20]]),
        "## Inputs",
        _table(["field", "allowed", "meaning"], [[c.name, c.expects, c.description] for c in contract.row]),
        "## Outputs",
        _table(["field", "values", "meaning"], [[c.name, c.expects, c.description] for c in contract.prediction]),
    ]
    return "\n\n".join(parts) + "\n"


def _groups(metrics: dict[str, float], sizes: dict[str, int]) -> str:
    names = list(dict.fromkeys(name.split("/")[0] for name in metrics))
    rows = [
        [group.replace("/", " = "), str(size), *(_number(metrics.get(f"{name}/{group}")) for name in names)]
        for group, size in sizes.items()
    ]
    return _table(["group", "rows", *names], rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _table(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
