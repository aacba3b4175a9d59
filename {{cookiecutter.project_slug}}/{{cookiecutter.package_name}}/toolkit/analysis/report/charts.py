"""Charts of the page: histograms beside those of the training, figures over time, calibration, traffic."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import NamedTuple

from ...common.plurals import count
from ..summary import CalibrationPoint, Estimate, FieldDrift, Quality, Traffic
from .drawing import WIDTH, Drawing, Scale
from .texts import clean, fitting, index, share, short, tick, utc, with_interval

#: Of more bins, those with the fewest rows are added up.
MOST_BINS = 14
LABEL_WIDTH, BARS_END, BIN_HEIGHT = 108.0, 220.0, 21.0
LABEL_PLACES = 16
#: The plane of a chart with two axes.
LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 44.0, 312.0, 8.0, 128.0, 148.0
#: More bars of traffic would be thinner than a line.
MOST_BARS = 60
#: Bins of numbers are numbered: "03 16..20".
NUMBERED = re.compile(r"\d\d (?=.)")


class Bin(NamedTuple):
    """A bin with the shares of rows in it, now and at training."""

    name: str
    now: float
    training: float


class Span(NamedTuple):
    """The time that an axis shows."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Return its length."""
        return max((utc(self.end) - utc(self.start)).total_seconds(), 1)

    def share(self, time: datetime) -> float:
        """Return how much of it is before a time."""
        return (utc(time) - utc(self.start)).total_seconds() / self.seconds


def histogram(drift: FieldDrift) -> Drawing:
    """Return the share of rows in each bin, beside that at training."""
    bins = _bins(drift)
    described = "; ".join(f"{one.name} {share(one.now)}, at training {share(one.training)}" for one in bins)
    picture = Drawing(f"{clean(drift.field)}: rows by bin, now and at training", BIN_HEIGHT * len(bins), described)
    largest = max((part for one in bins for part in (one.now, one.training)), default=1) or 1
    scale = Scale(0, largest, LABEL_WIDTH, BARS_END)
    for i, one in enumerate(bins):
        y = i * BIN_HEIGHT + 2
        title = f"{one.name}: {share(one.now)} now, {share(one.training)} at training"
        picture.label(LABEL_WIDTH - 6, y + 12, fitting(one.name, LABEL_PLACES), anchor="end", title=one.name)
        picture.bar(LABEL_WIDTH, y, scale(one.now) - LABEL_WIDTH, 8, "now", title)
        picture.bar(LABEL_WIDTH, y + 9, scale(one.training) - LABEL_WIDTH, 7, "training", title)
        shares = f"{_percent(one.now)} (was {_percent(one.training)})"
        picture.label(scale(max(one.now, one.training)) + 5, y + 12, shares, "label quiet")
    return picture


def _bins(drift: FieldDrift) -> list[Bin]:
    rows, reference = sum(drift.rows) or 1, [part if math.isfinite(part) else 0.0 for part in drift.reference]
    total = sum(reference) or 1
    bins = [
        Bin(clean(NUMBERED.sub("", name, count=1).replace("..", " to ", 1)), have / rows, had / total)
        for name, have, had in zip_longest(drift.bins, drift.rows, reference, fillvalue=0)
        if isinstance(name, str)
    ]
    if len(bins) <= MOST_BINS:
        return bins
    kept = set(sorted(range(len(bins)), key=lambda i: -max(bins[i].now, bins[i].training))[: MOST_BINS - 1])
    others = [one for i, one in enumerate(bins) if i not in kept]
    rest = Bin(f"{len(others)} others", sum(one.now for one in others), sum(one.training for one in others))
    return [one for i, one in enumerate(bins) if i in kept] + [rest]


def _percent(part: float) -> str:
    return "0 %" if part == 0 else "<1 %" if part < 0.01 else f"{100 * part:.0f} %"


def strip(psi: Estimate, scale: Scale, bounds: Sequence[float]) -> Drawing:
    """Return an index with its interval on a line, with the bounds from which on it counts."""
    picture = Drawing(f"PSI {with_interval(psi, index)}", 16, width=scale.end + 6)
    picture.line(scale.start, 8, scale.end, 8, "axis")
    for bound in bounds:
        picture.line(scale(bound), 1, scale(bound), 15, "bound")
    if math.isfinite(psi.value):
        if math.isfinite(psi.low) and math.isfinite(psi.high):
            picture.line(scale(psi.low), 8, scale(psi.high), 8, "range")
        picture.dot(scale(psi.value), 8, "point")
    return picture


def over_time(title: str, points: Sequence[Quality], reference: float | None, span: Span, scale: Scale) -> Drawing:
    """Return a metric over time with its intervals, and the hold-out rows' as a line."""
    known = (one for one in points if math.isfinite(one.estimate.value))
    found = sorted(known, key=lambda one: utc(one.start))
    described = "; ".join(f"{tick(one.start, 9)} {with_interval(one.estimate)}" for one in found)
    picture = _plane(clean(title), described, scale)
    times = Scale(0, 1, LEFT + 6, RIGHT - 6)
    _time_axis(picture, span)
    if reference is not None and math.isfinite(reference):
        picture.line(LEFT, scale(reference), RIGHT, scale(reference), "reference")
    middles = [times(span.share(one.start + (one.end - one.start) / 2)) for one in found]
    picture.path([(x, scale(one.estimate.value)) for x, one in zip(middles, found, strict=True)], "trend")
    for x, one in zip(middles, found, strict=True):
        rows = count(one.estimate.count, "row")
        _interval(picture, x, one.estimate, scale, f"{tick(one.start, 3)}: {with_interval(one.estimate)}, {rows}")
    return picture


def calibration(points: Sequence[CalibrationPoint]) -> Drawing:
    """Return the observed shares of the predicted class by the probabilities with which it was predicted."""
    found = [one for one in points if math.isfinite(one.predicted) and math.isfinite(one.observed.value)]
    described = "; ".join(f"predicted {share(one.predicted)}, observed {share(one.observed.value)}" for one in found)
    scale = Scale(0, 1, 268, TOP)
    picture = _plane("Predicted and observed", described, scale, 302, share_ticks=True)
    across = Scale(0, 1, LEFT, RIGHT)
    for part in (0.0, 0.5, 1.0):
        anchor = {0.0: "start", 1.0: "end"}.get(part, "middle")
        picture.label(across(part), 283, f"{100 * part:.0f} %", "label quiet", anchor)
    picture.label(across(0.5), 299, "predicted probability", "label quiet", "middle")
    picture.line(across(0), scale(0), across(1), scale(1), "reference")
    picture.path([(across(one.predicted), scale(one.observed.value)) for one in found], "trend")
    for one in found:
        text = f"predicted {share(one.predicted)}, observed {with_interval(one.observed, share)}"
        _interval(picture, across(one.predicted), one.observed, scale, f"{text}, {count(one.observed.count, 'row')}")
    return picture


def in_bars(parts: Sequence[Traffic]) -> list[Traffic]:
    """Return the traffic in at most `MOST_BARS` parts, of neighbours that are added up."""
    size = -(-len(parts) // MOST_BARS) or 1
    groups = [parts[i : i + size] for i in range(0, len(parts), size)]
    return [
        Traffic(
            start=group[0].start,
            end=group[-1].end,
            rows=sum(one.rows for one in group),
            shadow=sum(one.shadow for one in group),
        )
        for group in groups
    ]


def traffic(title: str, parts: Sequence[Traffic], span: Span, scale: Scale) -> Drawing:
    """Return the rows of a version over time: those answered as bars, those of a shadow as hollow ones on top."""
    total, shadow = sum(one.rows for one in parts), sum(one.shadow for one in parts)
    picture = _plane(title, f"{count(total - shadow, 'row')} answered, {shadow:,} as a shadow", scale)
    times = Scale(0, 1, LEFT, RIGHT)
    _time_axis(picture, span)
    for one in parts:
        start, end = times(span.share(one.start)), times(span.share(one.end))
        width = max(end - start - 1, 1)
        answered = max(one.rows - one.shadow, 0)
        text = f"{tick(one.start, 3)}: {count(answered, 'row')} answered, {one.shadow:,} as a shadow"
        base = scale(answered)
        if answered:
            picture.bar(start, base, width, BOTTOM - base, "now", text)
        if one.shadow:
            top = scale(one.rows)
            picture.bar(start, top, width, base - top, "training", text)
    return picture


def plane_scale(values: Sequence[float], *, zero: bool = False) -> Scale:
    """Return a scale for the upright axis of charts with two axes."""
    return Scale.over(values, BOTTOM, TOP, zero=zero)


def _plane(title: str, described: str, scale: Scale, height: float = HEIGHT, *, share_ticks: bool = False) -> Drawing:
    picture = Drawing(title, height, described, WIDTH)
    for value in scale.ticks():
        text = f"{100 * value:.0f} %" if share_ticks else short(round(value, 12))
        picture.line(LEFT, scale(value), RIGHT, scale(value), "grid")
        picture.label(LEFT - 5, scale(value) + 4, text, "label quiet", "end")
    return picture


def _time_axis(picture: Drawing, span: Span) -> None:
    for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        text = tick(utc(span.start) + timedelta(seconds=part * span.seconds), span.seconds / 86400)
        picture.label(LEFT + part * (RIGHT - LEFT), BOTTOM + 16, text, "label quiet", anchor)


def _interval(picture: Drawing, x: float, estimate: Estimate, scale: Scale, title: str) -> None:
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        picture.line(x, scale(estimate.low), x, scale(estimate.high), "range")
    picture.dot(x, scale(estimate.value), "point", title)
