"""The figures of a summary: as metrics of an MLflow run, and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..common.names import version_label
from .summary import Estimate, FieldDrift, Summary, VersionSummary

HEADINGS = ("version", "rows", "labels", "largest drift", "outliers")


def run_metrics(summary: Summary, champion: int | None) -> dict[str, float]:
    """Return the metrics of a run: those of the champion by name, those of others as "version_2/..."."""
    found: dict[str, float] = {}
    for version in summary.versions:
        prefix = "" if version.number == champion else f"version_{version.number}/"
        found |= {f"{prefix}{name}": value for name, value in _metrics(version)}
    return found


def _metrics(version: VersionSummary) -> Iterator[tuple[str, float]]:
    yield "rows", version.rows
    yield "labels", version.labels
    if version.outliers:
        yield "outliers", version.outliers.value
    for field in version.drift:
        if field.psi:
            yield f"{'drift' if field.part == 'feature' else 'output_drift'}/{field.field}", field.psi.value
        if field.missing:
            yield f"missing/{field.field}", field.missing.value
    if largest := largest_drift(version):
        assert largest.psi is not None
        yield "max_drift", largest.psi.value
    for quality in version.quality:
        yield f"{quality.metric}/{quality.group}" if quality.group else quality.metric, quality.estimate.value


def largest_drift(version: VersionSummary) -> FieldDrift | None:
    """Return the feature that has drifted most, None if there are too few rows."""
    found = [field for field in version.drift if field.part == "feature" and field.psi]
    return max(found, key=lambda field: field.psi.value if field.psi else 0, default=None)


def table(summary: Summary, metrics: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of a table of the versions; `metrics` are the metrics of quality that it shows."""
    shown = [name for name in metrics if any(_quality(version, name) for version in summary.versions)]
    rows = [
        [
            version_label(version.number, version.aliases),
            f"{version.rows:,}",
            f"{version.labels:,}",
            _drift(version),
            "-" if version.outliers is None else f"{100 * version.outliers.value:.1f} %",
            *(_with_error(_quality(version, name)) for name in shown),
        ]
        for version in summary.versions
    ]
    return [*HEADINGS, *shown], rows


def _drift(version: VersionSummary) -> str:
    largest = largest_drift(version)
    return "-" if largest is None or largest.psi is None else f"{largest.psi.value:.2f} {largest.field}"


def _quality(version: VersionSummary, metric: str) -> Estimate | None:
    return next((one.estimate for one in version.quality if (one.metric, one.group) == (metric, "")), None)


def _with_error(estimate: Estimate | None) -> str:
    """Return a value with half the width of its interval: a terminal has 80 characters."""
    return "-" if estimate is None else f"{estimate.value:.3f} ± {(estimate.high - estimate.low) / 2:.3f}"


def interval(estimate: Estimate | None) -> str:
    """Return a value with its interval, as in "0.31 (0.28 to 0.35)"."""
    if estimate is None:
        return "-"
    return f"{estimate.value:.3g} ({estimate.low:.3g} to {estimate.high:.3g})"
