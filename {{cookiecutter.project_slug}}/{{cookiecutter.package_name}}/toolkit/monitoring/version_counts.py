"""What the service has counted of each version: read from its `/metrics`, or from a Prometheus over all replicas."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, ConfigDict

from ..common import bounded_http
from ..common.errors import UserError
from .prometheus_api import MOST_BYTES, PrometheusApi, PrometheusError, Series

TIMEOUT_SECONDS = 10
#: The counters that are read, by the names of their series, each with its labels beside the version.
COUNTERS: dict[str, tuple[str, ...]] = {
    "model_requests_total": ("code",),
    "model_request_seconds_bucket": ("le",),
    "model_rows_total": (),
    "model_outlier_rows_total": (),
    "model_output_bin_rows_total": ("output", "bin"),
    "model_feedback_rows_total": ("correct",),
    "model_feedback_absolute_error_total": (),
    "model_feedback_squared_error_total": (),
}
#: The gauge of the share of the hold-out predictions in each bin.
REFERENCE = "model_output_reference_share"
#: The gauge of the time at which a service began to count.
STARTED = "model_service_started_seconds"
#: The label of a series that has its name, since Prometheus drops `__name__` in functions.
NAME = "counter"


class VersionCounts(BaseModel):
    """The counters of one version, summed over workers and replicas; `monitoring/metrics.py` declares them.

    Those of a Prometheus are no whole numbers. The names of the fields are kept in the registry, so they stay.
    """

    model_config = ConfigDict(frozen=True)

    #: Requests by status code.
    requests: dict[str, float] = {}
    #: Requests that took at most some seconds, by that bound as text; the last bound is "+Inf".
    seconds: dict[str, float] = {}
    rows: float = 0
    outliers: float = 0
    #: Predictions by output and bin.
    outputs: dict[str, dict[str, float]] = {}
    #: The share of the hold-out predictions by output and bin; no counter.
    reference: dict[str, dict[str, float]] = {}
    #: Labels of classes that arrived, by whether the prediction was "true" or "false".
    labels: dict[str, float] = {}
    #: Labels of a regression that arrived, and the sums of the errors of their predictions.
    numbers: float = 0
    absolute_error: float = 0
    squared_error: float = 0

    @property
    def answered(self) -> float:
        """All requests, whatever their status code."""
        return sum(self.requests.values())

    @property
    def feedback(self) -> VersionCounts:
        """The counters of labels alone."""
        return VersionCounts(
            labels=self.labels,
            numbers=self.numbers,
            absolute_error=self.absolute_error,
            squared_error=self.squared_error,
        )

    def status(self, digit: str) -> float:
        """Return the requests whose status code begins with a digit."""
        return sum(count for code, count in self.requests.items() if code.startswith(digit))

    def since(self, before: VersionCounts) -> VersionCounts:
        """Return the increase since some counts before.

        Fewer requests than before mean that the service was started anew, and counts from 0.
        """
        return self if before.answered > self.answered else self._with(before, lambda now, then: max(now - then, 0))

    def plus(self, other: VersionCounts) -> VersionCounts:
        """Return the sum of both."""
        return self._with(other, lambda one, more: one + more)

    def _with(self, other: VersionCounts, combine: Callable[[float, float], float]) -> VersionCounts:
        def join(one: dict[str, float], more: dict[str, float]) -> dict[str, float]:
            return {key: combine(one.get(key, 0), more.get(key, 0)) for key in {**one, **more}}

        outputs = {**self.outputs, **other.outputs}
        return VersionCounts(
            requests=join(self.requests, other.requests),
            seconds=join(self.seconds, other.seconds),
            rows=combine(self.rows, other.rows),
            outliers=combine(self.outliers, other.outliers),
            outputs={name: join(self.outputs.get(name, {}), other.outputs.get(name, {})) for name in outputs},
            reference=self.reference or other.reference,
            labels=join(self.labels, other.labels),
            numbers=combine(self.numbers, other.numbers),
            absolute_error=combine(self.absolute_error, other.absolute_error),
            squared_error=combine(self.squared_error, other.squared_error),
        )


class ServiceCounts(NamedTuple):
    """What a service has counted of each version since its start, in seconds since 1970."""

    started: float
    versions: dict[int, VersionCounts]


def scrape(address: str, authorization: str = "") -> ServiceCounts:
    """Return what the service at an address has counted since its start; `UserError` if it does not tell."""
    url, headers = f"{address}/metrics", {"Authorization": authorization} if authorization else {}
    try:
        answer = bounded_http.ask(
            "GET", url, httpx.Timeout(TIMEOUT_SECONDS), MOST_BYTES, follow_redirects=True, headers=headers
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(
            f"{url} does not answer ({type(error).__name__}). Is the service up? make status tells"
        ) from error
    if not answer.is_success:
        raise UserError(f"{url} answers {answer.status_code}. Is it the service? make status tells")
    if not answer.extensions["complete"]:
        raise UserError(f"{url} has no end within {TIMEOUT_SECONDS} s and {MOST_BYTES:,} bytes. Is it the service?")
    try:
        samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    except ValueError as error:
        raise UserError(f"{url} has no metrics, but {answer.text[:100]!r}. Is it the service?") from error
    counts = counts_by_version(Series({**sample.labels, NAME: sample.name}, sample.value) for sample in samples)
    return ServiceCounts(next((sample.value for sample in samples if sample.name == STARTED), 0.0), counts)


def increases(prometheus: PrometheusApi, seconds: float, job: str = "") -> dict[int, VersionCounts]:
    """Return by how much the counters of each version grew in the last seconds, over all replicas.

    Prometheus handles counters that were reset. `job` is the label of this model's service, "" where it has no other.
    """
    selector, window = job_selector(prometheus, job), f"[{max(1, round(seconds))}s]"
    series = [
        _named(name, f"sum by ({', '.join(('version', *labels))}) (increase({name}{selector}{window}))")
        for name, labels in COUNTERS.items()
    ]
    reference = _named(REFERENCE, f"max by (version, output, bin) ({REFERENCE}{selector})")
    return counts_by_version(prometheus.query(" or ".join([*series, reference])))


def job_selector(prometheus: PrometheusApi, job: str = "") -> str:
    """Return the selector of this model's series; `UserError` if several models have some, and none is named.

    `PrometheusError` if it has none at all.
    """
    if job:
        return f"{{job={json.dumps(job)}}}"
    jobs = sorted(series.labels.get("job", "") for series in prometheus.query("count by (job) (model_versions_loaded)"))
    if not jobs:
        raise PrometheusError(
            "Prometheus (PROMETHEUS_URL) has no metrics of a service now. Is its address in prometheus.yml?"
        )
    if len(jobs) > 1:
        raise UserError(
            f"Prometheus has the services of several models, the jobs {', '.join(jobs)}. Name that of this model: "
            f"PROMETHEUS_JOB={jobs[0]}"
        )
    return ""


def counts_by_version(series: Iterable[Series]) -> dict[int, VersionCounts]:
    """Return the counts in some series, whose label `NAME` has their name; others are ignored."""
    found: defaultdict[int, list[Series]] = defaultdict(list)
    for one in series:
        if one.labels.get(NAME) in (*COUNTERS, REFERENCE) and one.labels.get("version", "").isdigit():
            found[int(one.labels["version"])].append(one)
    return {number: _counts(group) for number, group in found.items()}


def _counts(series: list[Series]) -> VersionCounts:
    """Return the counts in the series of one version."""

    def by(name: str, label: str) -> dict[str, float]:
        sums: defaultdict[str, float] = defaultdict(float)
        for labels, value in series:
            if labels[NAME] == name:
                sums[labels.get(label, "")] += value
        return dict(sums)

    def by_bin(name: str) -> dict[str, dict[str, float]]:
        bins: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for labels, value in series:
            if labels[NAME] == name:
                bins[labels["output"]][labels["bin"]] = value
        return dict(bins)

    labels = by("model_feedback_rows_total", "correct")
    return VersionCounts(
        requests=by("model_requests_total", "code"),
        seconds=by("model_request_seconds_bucket", "le"),
        rows=sum(by("model_rows_total", "").values()),
        outliers=sum(by("model_outlier_rows_total", "").values()),
        outputs=by_bin("model_output_bin_rows_total"),
        reference=by_bin(REFERENCE),
        # Of a regression, `correct` is "".
        numbers=labels.pop("", 0),
        labels=labels,
        absolute_error=sum(by("model_feedback_absolute_error_total", "").values()),
        squared_error=sum(by("model_feedback_squared_error_total", "").values()),
    )


def _named(name: str, expression: str) -> str:
    return f'label_replace({expression}, "{NAME}", "{name}", "", "")'
