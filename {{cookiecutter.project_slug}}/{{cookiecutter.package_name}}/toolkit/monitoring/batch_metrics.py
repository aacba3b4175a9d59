"""The metrics of a batch job: for Prometheus, by a Pushgateway or a textfile of node_exporter, and for its MLflow run.

They are gauges of the last job. A counter would be wrong: a job ends and is not scraped, what it leaves behind is
replaced by the next one, and `increase()` would take the difference of two jobs for rows. Reference shares have the
names that the service gives them. Each series has the label `job`, by which the rules distinguish models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.parse import unquote, urlsplit

from prometheus_client import CollectorRegistry, push_to_gateway, write_to_textfile
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import basic_auth_handler, default_handler
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from ..common.errors import UserError
from ..common.scratch import scratch_folder
from ..version.binning import CategoryBins, NumberBins
from ..version.reference_profile import Profile
from . import metrics
from .bin_counts import BinCounts

TIMEOUT_SECONDS = 10


class JobReport(NamedTuple):
    """What a job that succeeded has done."""

    version: int
    #: The reference profile of the version.
    profile: Profile
    #: Rows read, and of these the rejected ones; the others were scored.
    rows: int
    rejected: int
    #: Its duration, and its end as Unix time.
    seconds: float
    end: float
    #: The scored rows by bin.
    counts: BinCounts

    def run_metrics(self) -> dict[str, float]:
        """Return the metrics of its MLflow run; drift only of enough rows, see `bin_counts.MIN_DRIFT_ROWS`."""
        features, outputs = self.counts.feature_drift(self.profile), self.counts.output_drift(self.profile)
        found = {"rows": self.rows, "rejected": self.rejected, "outliers": self.counts.outliers}
        return {
            **found,
            "seconds": self.seconds,
            **{f"drift/{name}": value for name, value in features.items()},
            **{f"output_drift/{name}": value for name, value in outputs.items()},
            **({"max_drift": max(features.values())} if features else {}),
        }


class BatchMetrics:
    """Where the metrics of jobs go; `UserError` if they could not be written there."""

    def __init__(self, job: str, pushgateway: str = "", file: str = "") -> None:
        self._job, self._pushgateway, self._file = job, pushgateway, Path(file) if file else None
        if self._file and self._file.suffix != ".prom":
            raise UserError(f"METRICS_FILE={file}: the name must end in .prom, as node_exporter reads no other file")
        if self._file and not self._file.parent.is_dir():
            raise UserError(f"METRICS_FILE={file}: there is no folder {self._file.parent}; name that of node_exporter")
        if "://" in pushgateway and not pushgateway.startswith(("http://", "https://")):
            raise UserError(f"PUSHGATEWAY={pushgateway}: the address must begin with http:// or https://")

    def publish(self, report: JobReport) -> list[str]:
        """Write and push a job's metrics; returns a warning for each place that does not take them."""
        registry = CollectorRegistry()
        registry.register(_JobCollector(self._job, report))
        warnings = []
        if self._file:
            try:
                _write(registry, self._file)
            except OSError as error:
                warnings.append(f"{self._file}: the metrics of this job were not written: {error.strerror or error}")
        if self._pushgateway:
            try:
                _push(registry, self._pushgateway, self._job)
            except (OSError, HTTPException, ValueError) as error:
                reason = error.reason if type(error) is URLError else error
                warnings.append(f"The metrics of this job were not pushed to PUSHGATEWAY={self._pushgateway}: {reason}")
        return warnings


class _JobCollector(Collector):
    """Has the metrics of a job as a registry asks for them."""

    def __init__(self, job: str, report: JobReport) -> None:
        self._job, self._report = job, report

    def collect(self) -> Iterator[Metric]:
        report = self._report
        counts, profile = report.counts, report.profile
        for name, text, value in (
            ("model_batch_rows", "Rows that the last batch job read.", report.rows),
            ("model_batch_rejected_rows", "Rows that the last batch job rejected.", report.rejected),
            ("model_batch_outlier_rows", "Rows of the last batch job unlike the training rows.", counts.outliers),
            ("model_batch_seconds", "Duration of the last batch job.", report.seconds),
            ("model_batch_last_success_seconds", "End of the last batch job that succeeded, Unix time.", report.end),
        ):
            yield self._gauge(name, text, [], {(): value})
        rows = "Rows of the last batch job, by {} and bin."
        features, outputs = _by_bin(profile.features, counts.features), _by_bin(profile.outputs, counts.outputs)
        yield self._gauge("model_batch_feature_bin_rows", rows.format("feature"), ["feature", "bin"], features)
        yield self._gauge("model_batch_output_bin_rows", rows.format("output"), ["output", "bin"], outputs)
        yield self._as_service(metrics.FEATURE_SHARE, ["feature", "bin"], _shares(profile.features))
        yield self._as_service(metrics.OUTPUT_SHARE, ["output", "bin"], _shares(profile.outputs))
        yield self._as_service(metrics.OUTLIER_SHARE, [], {(): profile.outliers.rate})

    def _as_service(self, metric: MetricWrapperBase, labels: list[str], values: Mapping[tuple[str, ...], float]) -> Any:
        """Return a gauge of the service with this job's values."""
        (described,) = metric.describe()
        return self._gauge(described.name, described.documentation, labels, values)

    def _gauge(self, name: str, text: str, labels: list[str], values: Mapping[tuple[str, ...], float]) -> Any:
        gauge = GaugeMetricFamily(name, text, labels=["job", "version", *labels])
        for label_values, value in values.items():
            gauge.add_metric([self._job, str(self._report.version), *label_values], value)
        return gauge


Bins = Mapping[str, NumberBins | CategoryBins]


def _by_bin(bins: Bins, counts: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    # Of a job that scored no row there are no counts.
    return {
        (name, bin_): rows
        for name, found in bins.items()
        for bin_, rows in zip(found.names, counts.get(name, [0] * len(found.names)), strict=True)
    }


def _shares(bins: Bins) -> dict[tuple[str, ...], float]:
    return _by_bin(bins, {name: found.shares for name, found in bins.items()})


def _write(registry: CollectorRegistry, file: Path) -> None:
    with scratch_folder(file.parent, f".{file.name}.") as folder:
        written = folder / file.name
        write_to_textfile(str(written), registry)
        # node_exporter is another user, whatever the umask of this one.
        written.chmod(0o644)
        written.replace(file)


def _push(registry: CollectorRegistry, address: str, job: str) -> None:
    """Replace what the Pushgateway has of a job; user and password may stand in its address."""
    parts = urlsplit(address if "://" in address else f"http://{address}")
    host = parts.netloc.rpartition("@")[2]

    handler: Callable[..., Any] = default_handler
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        handler = partial(basic_auth_handler, username=user, password=password)
    push_to_gateway(parts._replace(netloc=host).geturl(), job, registry, timeout=TIMEOUT_SECONDS, handler=handler)
