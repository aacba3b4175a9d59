"""The figures of a summary as metrics of an MLflow run."""

from __future__ import annotations

from collections.abc import Iterator

from .summary import FieldDrift, Summary, VersionSummary


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
