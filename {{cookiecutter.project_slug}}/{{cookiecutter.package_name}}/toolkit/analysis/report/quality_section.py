"""Quality of the rows whose labels have arrived: over time and by group, beside that of the hold-out rows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from ..summary import Quality, VersionSummary
from .charts import Span, over_time, plane_scale
from .drawing import Drawing
from .texts import clean, group, interval, number

#: Of a metric of more groups, charts are shown of those with the most labels.
MOST_GROUPS = 12
MOST_NAME = 60
ALL_ROWS = ""


class QualityRow(NamedTuple):
    """A metric of a group in the whole window, as a row of a table."""

    metric: str
    group: str
    value: str
    interval: str
    labels: str
    reference: str
    changed: str


class Groups(NamedTuple):
    """The charts of a metric by group: those with the most labels."""

    metric: str
    charts: list[Drawing]
    hidden: int


class QualityCharts(NamedTuple):
    """Charts of each metric for all rows, and by group."""

    overall: list[Drawing]
    groups: list[Groups]


def table(version: VersionSummary) -> list[QualityRow]:
    """Return the metrics of the whole window; those of all rows first."""
    ordered = sorted(version.quality, key=lambda one: one.group != ALL_ROWS)
    return [_row(one, _reference(version, one.metric, one.group)) for one in ordered]


def charts(version: VersionSummary, span: Span) -> QualityCharts:
    """Return the metrics over time; all charts of a metric have the same scale."""
    overall, by_group = [], []
    for metric in dict.fromkeys(one.metric for one in version.quality_over_time):
        drawings, hidden = _charts(version, metric, span)
        name = clean(metric, MOST_NAME)
        if ALL_ROWS in drawings:
            overall.append(replace(drawings.pop(ALL_ROWS), title=name))
        if drawings:
            by_group.append(Groups(name, list(drawings.values()), hidden))
    return QualityCharts(overall, by_group)


def _charts(version: VersionSummary, metric: str, span: Span) -> tuple[dict[str, Drawing], int]:
    """Return the charts of a metric by group, and how many groups have none."""
    groups: dict[str, list[Quality]] = {}
    for one in version.quality_over_time:
        if one.metric == metric:
            groups.setdefault(one.group, []).append(one)
    labels = {name: sum(one.estimate.count for one in points) for name, points in groups.items()}
    shown = sorted(groups, key=lambda name: (name != ALL_ROWS, -labels[name]))[: MOST_GROUPS + (ALL_ROWS in groups)]
    references = {name: _reference(version, metric, name) for name in shown}
    parts = [one.estimate for name in shown for one in groups[name]]
    values = [number for part in parts for number in (part.value, part.low, part.high)]
    scale = plane_scale([*values, *(known for known in references.values() if known is not None)])
    drawings = {name: over_time(group(name), groups[name], references[name], span, scale) for name in shown}
    return drawings, len(groups) - len(shown)


def _reference(version: VersionSummary, metric: str, group: str) -> float | None:
    return version.quality_reference.get(f"{metric}/{group}" if group else metric)


def _row(one: Quality, reference: float | None) -> QualityRow:
    return QualityRow(
        metric=clean(one.metric),
        group=group(one.group),
        value=number(one.estimate.value),
        interval=interval(one.estimate),
        labels=number(one.estimate.count),
        reference=number(reference),
        changed=_changed(one, reference),
    )


def _changed(one: Quality, reference: float | None) -> str:
    """Return where the figure lies beside that of the hold-out rows, by its whole interval."""
    low, high = one.estimate.low, one.estimate.high
    if reference is None or not all(map(math.isfinite, (low, high, reference))):
        return "unknown"
    return "lower" if high < reference else "higher" if low > reference else "no difference shown"
