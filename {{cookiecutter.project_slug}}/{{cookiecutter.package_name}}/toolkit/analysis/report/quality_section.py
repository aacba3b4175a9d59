"""Quality of the rows whose labels have arrived: over time and by group, beside that of the hold-out rows."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..summary import Estimate, Quality, VersionSummary
from .charts import Span, over_time, plane_scale
from .drawing import Drawing
from .texts import clean, group, number, rounded

#: Of a metric of more groups, charts are shown of those with the most labels.
MOST_GROUPS = 12
MOST_NAME = 60
ALL_ROWS = ""


class QualityRow(NamedTuple):
    """A metric of a group in the whole window, as a row of a table."""

    metric: str
    group: str
    value: str
    labels: str
    reference: str
    difference: str
    verdict: str


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
    """Return the metrics over time; the charts of the groups of a metric have the same scale."""
    overall, by_group = [], []
    for metric in dict.fromkeys(one.metric for one in version.quality_over_time):
        groups: dict[str, list[Quality]] = {}
        for one in version.quality_over_time:
            if one.metric == metric:
                groups.setdefault(one.group, []).append(one)
        name, everything = clean(metric, MOST_NAME), groups.pop(ALL_ROWS, [])
        if everything:
            overall += _charts(version, {ALL_ROWS: everything}, {ALL_ROWS: name}, span)
        labels = {key: sum(one.estimate.count for one in points) for key, points in groups.items()}
        shown = sorted(groups, key=lambda key: -labels[key])[:MOST_GROUPS]
        if shown:
            drawings = _charts(version, groups, {key: group(key) for key in shown}, span)
            by_group.append(Groups(name, drawings, len(groups) - len(shown)))
    return QualityCharts(overall, by_group)


def _charts(
    version: VersionSummary, series: dict[str, list[Quality]], titles: dict[str, str], span: Span
) -> list[Drawing]:
    """Return the chart of each group that has a title, all with the same scale."""
    references = {name: _reference(version, series[name][0].metric, name) for name in titles}
    parts = [one.estimate for name in titles for one in series[name]]
    values = [number for part in parts for number in (part.value, part.low, part.high)]
    scale = plane_scale([*values, *(known for known in references.values() if known is not None)])
    return [over_time(title, series[name], references[name], span, scale) for name, title in titles.items()]


def _reference(version: VersionSummary, metric: str, group: str) -> float | None:
    return version.quality_reference.get(f"{metric}/{group}" if group else metric)


def _row(one: Quality, reference: float | None) -> QualityRow:
    return QualityRow(
        metric=clean(one.metric),
        group=group(one.group),
        value=rounded(one.estimate),
        labels=number(one.estimate.count),
        reference=number(reference),
        difference=rounded(one.difference, "+"),
        verdict=_verdict(one.difference),
    )


def _verdict(difference: Estimate | None) -> str:
    """Return what a difference from the hold-out rows says, by its whole interval."""
    if difference is None or not all(map(math.isfinite, (difference.low, difference.high))):
        return "unknown"
    return "lower" if difference.high < 0 else "higher" if difference.low > 0 else "may be chance"
