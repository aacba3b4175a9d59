"""Counts in, the summary out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from ..common import plurals
from ..common.names import GOLDEN_KEY
from ..monitoring.bin_counts import MIN_DRIFT_ROWS
from . import quality
from .label_log import Labels
from .log_counts import LogCounts
from .quality import Effort
from .summary import Quality, Summary, Traffic, VersionSummary
from .version_analysis import VersionAnalysis
from .window import Window

#: Points in a plot over time, at most.
MOST_SPANS = 24
#: Of all rows, and of each span of a plot.
OVERALL, OVER_TIME = Effort(), Effort(rows=2_000, resamples=200, seconds=0.1)


class Analysis(NamedTuple):
    """The versions that were analysed over a window, by what is at `source`."""

    source: str
    window: Window
    versions: Sequence[VersionAnalysis]
    labels: Labels
    notes: tuple[str, ...] = ()


def summarize(model: str, analysis: Analysis, where: range, slices: Iterable[str]) -> Summary:
    """Return the summary of some intervals of a window, `where`; decision and rules are still to come."""
    window, spans = analysis.window, _spans(where, analysis.versions)
    found = [
        _version(version, window, where, spans, analysis.labels, tuple(slices))
        for version in analysis.versions
        if version.rows(where)
    ]
    nothing = () if found else ("No prediction was logged in these days.",)
    return Summary(
        model=model,
        made=datetime.now(UTC),
        source=analysis.source,
        start=window.time(where.start),
        end=window.time(where.stop),
        versions=tuple(found),
        notes=(*analysis.notes, *nothing),
    )


def _spans(where: range, versions: Iterable[VersionAnalysis]) -> list[range]:
    """Return the parts of the window that are the points of a plot, from the first rows on."""
    with_rows = [i for version in versions for i in version.counts.rows if i in where]
    if not with_rows:
        return []
    length = -(-(where.stop - min(with_rows)) // MOST_SPANS)
    ends = range(where.stop, min(with_rows), -length)
    return [range(max(where.start, end - length), end) for end in reversed(ends)]


def _version(
    version: VersionAnalysis,
    window: Window,
    where: range,
    spans: Sequence[range],
    labels: Labels,
    slices: Sequence[str],
) -> VersionSummary:
    reference = version.reference
    return VersionSummary(
        number=version.number,
        aliases=version.source.aliases,
        trained=version.trained,
        rows=version.rows(where),
        labels=version.labels(where),
        traffic=tuple(_traffic(version, window, spans)),
        drift=version.drift(where),
        quality=tuple(_with_difference(one, version) for one in _quality(version, window, [where], OVERALL)),
        quality_over_time=tuple(_quality(version, window, spans, OVER_TIME)) if len(spans) > 1 else (),
        quality_reference=version.details.get("metrics", {}),
        calibration=version.calibration(where),
        outliers=version.outliers(where),
        outliers_reference=reference.profile.outliers.rate if reference else None,
        outlier_rows=version.outlier_rows(window, where),
        notes=tuple(_version_notes(version, where, labels, slices)),
    )


def _traffic(version: VersionAnalysis, window: Window, spans: Iterable[range]) -> Iterator[Traffic]:
    for span in spans:
        rows, shadow = version.rows(span), sum(version.counts.shadow[i] for i in span)
        yield Traffic(start=window.time(span.start), end=window.time(span.stop), rows=rows, shadow=shadow)


def _quality(version: VersionAnalysis, window: Window, spans: Iterable[range], effort: Effort) -> Iterator[Quality]:
    for span in spans:
        for group, estimates in version.quality(span, effort):
            for metric, estimate in estimates.items():
                yield Quality(
                    metric=metric,
                    group=group,
                    start=window.time(span.start),
                    end=window.time(span.stop),
                    estimate=estimate,
                )


def _with_difference(one: Quality, version: VersionAnalysis) -> Quality:
    return one.model_copy(update={"difference": version.difference(one.metric, one.group, one.estimate)})


def _version_notes(version: VersionAnalysis, where: range, labels: Labels, slices: Sequence[str]) -> Iterator[str]:
    contract, rows, sample = version.contract, version.rows(where), version.labelled(where)
    if contract is None:
        yield f"Only its traffic is known: {version.source.problem}"
        return
    if version.counts.misfits:
        yield (
            f"Traffic alone: {plurals.count(version.counts.misfits, 'row')} with other fields or values than "
            f"version {version.number} was trained with. Another model, or another registry's version of this number, "
            "is logged here too."
        )
    if rows < MIN_DRIFT_ROWS:
        yield f"No drift is computed below {MIN_DRIFT_ROWS} rows; this version has {rows:,}."
    if not contract.labels:
        yield "The model learns without a label, so there is no quality."
        return
    if (count := version.labels(where)) < quality.FEWEST_ROWS:
        yield f"No quality is computed below {quality.FEWEST_ROWS} rows with labels; this version has {count:,}."
    elif sample is not None and labels.share < 1:
        yield f"Quality is computed on a random sample of {len(sample):,} rows with labels."
    if sample is not None and version.sample and version.sample.invalid:
        invalid = plurals.count(version.sample.invalid, "label is none", "labels are none")
        yield f"{invalid} that the schema allows, and left out."
    if unknown := [name for name in slices if name not in contract.by_name]:
        yield f"Quality is not grouped by {', '.join(unknown)}: SLICES names it, but it is no field of Row."


def notes(counts: LogCounts) -> Iterator[str]:
    """Yield what could not be used of a log, in sentences."""
    yield from counts.problems.notes()
    labels, versions = counts.labels, counts.versions.values()
    if late := sum(found.late for found in versions):
        yield (
            f"{plurals.count(late, 'row is', 'rows are')} left out, with a time in the future or none that can be "
            "read: a clock was ahead, or the log is damaged."
        )
    if golden := sum(found.golden for found in versions):
        yield (
            f"{plurals.count(golden, 'row of a golden request is', 'rows of golden requests are')} left out "
            f"(X-Key: {GOLDEN_KEY}): make deploy and make doctor check a service by them."
        )
    about = "" if labels.share == 1 else "About "
    if labels.replaced:
        again = plurals.count(round(labels.replaced / labels.share), "label was", "labels were")
        yield f"{about}{again} sent again for the same prediction; the last one counts."
    joined = [part.numbers for found in versions for part in found.labelled]
    known = np.unique(np.concatenate(joined)) if joined else np.array([], np.uint64)
    lost = round((len(labels.numbers) - len(known)) / labels.share)
    if lost:
        unknown = "" if all(found.has_bins for found in versions) else ", or is of an unknown version"
        yield (
            f"{about}{plurals.count(lost, 'label belongs', 'labels belong')} to no prediction that was logged in these "
            f"days: it is older, was removed (LOG_MEGABYTES), or was not logged (LOG_SHARE){unknown}."
        )
