"""The model card: what a version is, how good it is and where it comes from, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..contract.schema import Contract, FieldSpec
from .details import Details
from .markdown import gate_table, number, quoted, table
from .tuning.parameters import text

#: Longer tables are cut, with the largest values first.
MOST_FIELDS = 20


def write(details: Details, contract: Contract, features: Mapping[str, str] | None = None) -> str:
    """Return the card of a version; `features` has the kinds of the columns that `model/features.py` makes."""
    parts = [
        f"# {details.project}",
        details.description,
        _origin(details),
        *([f"Why it was trained: {quoted(details.reason)}"] if details.reason else []),
        *(["\n".join(f"- {line}" for line in details.runtime_details)] if details.runtime_details else []),
        *([f"Parameters: {text(details.parameters)} ({details.parameters_note})."] if details.parameters else []),
        "## Gates",
        gate_table(details.gates, "metric", "champion then"),
        "## Metrics on the hold-out rows",
        table(
            ["metric", "value"],
            [[name, number(value)] for name, value in details.metrics.items() if "/" not in name],
        ),
        *_groups(details),
        "## Feature importance",
        f"The loss of {'R²' if contract.label.kind == 'float' else 'accuracy'} when the values of one field are "
        f"shuffled (permutation importance, on {details.importance_rows} hold-out rows)"
        + ("." if contract.labels else ", compared with the predictions for unshuffled rows."),
        table(["field", "loss"], _largest(details.importance)),
        "## Drift and outliers",
        "The drift of the hold-out rows against the training rows, as population stability index (PSI); the service "
        "compares the rows that it scores in the same way. Above 0.25 a distribution counts as changed (N. Siddiqi, "
        f"Credit Risk Scorecards, 2006). Of the hold-out rows, {details.outliers:.1%} are outliers.",
        table(["field", "PSI"], _largest(details.drift)),
        "## Inputs",
        _fields("allowed", contract.row),
        *_features(features or {}),
        "## Outputs",
        _outputs(details, contract),
        _fields("values", contract.prediction),
    ]
    return "\n\n".join(parts) + "\n"


def _origin(details: Details) -> str:
    data = details.data
    return (
        f"Trained {details.trained} by {details.author}, commit `{details.commit}`, on {data.training_rows} rows; "
        f"evaluated on {data.holdout_rows} hold-out rows (data digest `{data.digest}`). "
        f"Served by the {details.runtime} runtime: {details.runtime_note}."
    )


def _groups(details: Details) -> list[str]:
    metrics = {name: value for name, value in details.metrics.items() if "/" in name}
    if not metrics:
        return []
    names = list(dict.fromkeys(name.split("/")[0] for name in metrics))
    rows = [
        [group.replace("/", " = "), str(size), *(number(metrics.get(f"{name}/{group}")) for name in names)]
        for group, size in details.groups.items()
    ]
    return ["## Groups", table(["group", "rows", *names], rows)]


def _features(kinds: Mapping[str, str]) -> list[str]:
    if not kinds:
        return []
    text = "The model sees these columns, which `model/features.py` makes of the inputs."
    return ["## Features", text, table(["column", "kind"], [list(item) for item in kinds.items()])]


def _outputs(details: Details, contract: Contract) -> str:
    """Return what follows from the labels, in a paragraph."""
    if not contract.labels:
        return f"The model learned without a label: the data has no column {contract.label.name}."
    texts = [f"The label is {contract.label.name}."]
    if len(contract.labels) > 1:
        texts = [f"The labels are {', '.join(label.name for label in contract.labels)}."]
    if contract.classes:
        texts.append(
            f"Its classes, in the order of probabilities: {', '.join(map(str, contract.classes[:MOST_FIELDS]))}."
        )
    if contract.threshold is not None:
        texts.append(
            f"{contract.classes[1]} is predicted where its probability is {contract.threshold:.4g} or more "
            f"({details.threshold_note})."
        )
    return " ".join(texts)


def _largest(values: dict[str, float]) -> list[list[str]]:
    return [[name, f"{value:.3f}"] for name, value in list(values.items())[:MOST_FIELDS]]


def _fields(heading: str, fields: Iterable[FieldSpec]) -> str:
    rows = [[field.name, field.expects, field.description] for field in fields]
    return table(["field", heading, "meaning"], rows)
