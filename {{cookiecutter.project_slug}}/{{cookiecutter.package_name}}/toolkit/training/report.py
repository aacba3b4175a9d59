"""The report on a version: its metrics and gates beside those of the champion, in Markdown with charts by Mermaid.

GitHub and GitLab render Mermaid. Neither shows a job's pictures in a summary, so the plots are files beside the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .details import Details
from .markdown import gate_table, number, quoted, table

#: Longer charts cannot be read; the most important come first.
MOST_BARS = 10


class Subject(NamedTuple):
    """The version that is reported on, what became of it, and where its tracking run is."""

    number: int
    outcome: str
    run: str


def write(subject: Subject, details: Details) -> str:
    """Return the report, without pictures."""
    other = "the champion" if details.champion is None else f"version {details.champion}"
    if not details.champion_metrics:
        other = ""
    parts = [
        f"# {details.project}: version {subject.number}",
        subject.outcome,
        _origin(subject, details, other),
        *([f"Why it was trained: {quoted(details.reason)}"] if details.reason else []),
        *([f"Threshold: {details.threshold:.4g}, {details.threshold_note}."] if details.threshold is not None else []),
        "## Gates",
        gate_table(details.gates, "gate", other or "champion"),
        "## Metrics on the hold-out rows",
        _metrics(subject, details, other),
        *_charts(subject, details, other),
    ]
    return "\n\n".join(parts) + "\n"


def pictures(versions: Sequence[int], names: Sequence[str]) -> str:
    """Return a table of pictures: a row for each plot, a column for each version, files `plots/<version>/<name>`."""
    rows = [[f"![{name}](plots/{version}/{name})" for version in versions] for name in names]
    return "## Plots\n\n" + table([f"version {version}" for version in versions], rows) + "\n"


def _origin(subject: Subject, details: Details, other: str) -> str:
    data = details.data
    compared = f"compared with {other}, the champion then, on the same" if other else "evaluated on"
    return (
        f"Trained {details.trained} by {details.by} from commit `{details.commit}` on {data.training_rows} rows; "
        f"{compared} {data.holdout_rows} hold-out rows (data digest `{data.digest}`). MLflow run: {subject.run}"
    )


def _metrics(subject: Subject, details: Details, other: str) -> str:
    rows = []
    for name, value in _overall(details.metrics).items():
        champion = details.champion_metrics.get(name)
        change = "" if champion is None else f"{round(value - champion, 4) + 0.0:+.4f}"  # no -0.0000
        rows.append([name, number(value), *([number(champion), change] if other else [])])
    return table(["metric", f"version {subject.number}", *([other, "change"] if other else [])], rows)


def _charts(subject: Subject, details: Details, other: str) -> list[str]:
    """Return a chart of the metrics between 0 and 1, with the champion's as a line, and one of the importance."""
    champion = details.champion_metrics if other else {}
    shown = {
        name: value
        for name, value in _overall(details.metrics).items()
        if 0 <= value <= 1 and 0 <= champion.get(name, 0) <= 1
    }
    charts = []
    if shown:
        line = [champion[name] for name in shown] if shown.keys() <= champion.keys() else []
        title = f"bars: version {subject.number}" + (f", line: {other}" if line else "")
        charts.append(_chart("xychart-beta", title, shown, line, 1))
    importance = dict(list(details.importance.items())[:MOST_BARS])
    if importance and (most := max(importance.values())) > 0:
        charts.append(_chart("xychart-beta horizontal", "importance of the features", importance, [], most))
    return charts


def _chart(kind: str, title: str, bars: dict[str, float], line: Sequence[float], most: float) -> str:
    names = ", ".join(_quoted(name) for name in bars)
    lines = [kind, f"    title {_quoted(title)}", f"    x-axis [{names}]", f"    y-axis 0 --> {most:.4f}"]
    lines.append(f"    bar [{', '.join(f'{max(value, 0):.4f}' for value in bars.values())}]")
    if line:
        lines.append(f"    line [{', '.join(f'{value:.4f}' for value in line)}]")
    return "\n".join(["```mermaid", *lines, "```"])


def _quoted(text: str) -> str:
    """Return a text as Mermaid wants it; there is no way to write a quote."""
    return '"' + " ".join(text.replace('"', "'").replace("`", "'").split()) + '"'


def _overall(metrics: dict[str, float]) -> dict[str, float]:
    """Return the metrics on all rows, without those of groups."""
    return {name: value for name, value in metrics.items() if "/" not in name}
