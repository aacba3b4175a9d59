"""The analysis of what Prometheus has: the same figures as of the log, as far as counters have them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from titanic_survival.model import data
from titanic_survival.toolkit.analysis import counters
from titanic_survival.toolkit.analysis.counters import CountedVersion
from titanic_survival.toolkit.analysis.quality import Effort
from titanic_survival.toolkit.analysis.version_analysis import VersionSource
from titanic_survival.toolkit.analysis.window import Window
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import Columns
from titanic_survival.toolkit.monitoring.bin_counts import BinCounts
from titanic_survival.toolkit.version.artifact import Artifact

NOW = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)
WINDOW = Window.of(NOW, 7, counters.MOST_INTERVALS)


class Series(NamedTuple):
    """A series of an answer."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """What a service would have counted of some rows, evenly over the last day."""

    def __init__(self, version: Artifact, columns: Columns) -> None:
        self.expressions: list[str] = []
        self.counts = BinCounts.of(version.profile, columns, version.runtime.score(columns))
        self._profile = version.profile

    def query(self, expression: str) -> list[Series]:
        """Return the increase of counters; it is a little off, since Prometheus extrapolates."""
        self.expressions.append(expression)
        found = re.fullmatch(
            r'sum by \(([a-z, ]+)\) \(increase\((\w+)\{job="a \\"model\\""\}\[(\d+)s\] @ ([\d.]+)\)\)', expression
        )
        assert found, expression
        end, seconds = float(found[4]), int(found[3])
        assert end <= NOW.timestamp()
        overlap = min(end, NOW.timestamp()) - max(end - seconds, (NOW - timedelta(days=1)).timestamp())
        share = 1.0001 * max(0.0, overlap) / 86_400
        return [Series(labels, share * value) for labels, value in self._series(found[2])]

    def _series(self, metric: str) -> list[tuple[dict[str, str], float]]:
        one, counts = {"version": "1"}, self.counts
        if metric == "model_rows_total":
            return [(one, counts.rows), ({"version": "other"}, 5), ({}, 7)]
        if metric == "model_outlier_rows_total":
            return [(one, counts.outliers)]
        if metric == "model_feedback_rows_total":
            return [(one | {"correct": "true"}, 900), (one | {"correct": "false"}, 100)]
        for name, parts, of_bins in (
            ("feature", self._profile.features, counts.features),
            ("output", self._profile.outputs, counts.outputs),
        ):
            if metric == f"model_{name}_bin_rows_total":
                return [
                    (one | {name: key, "bin": label}, float(count))
                    for key, bins in parts.items()
                    for label, count in zip(bins.names, of_bins[key], strict=True)
                ]
        return []


@pytest.fixture(scope="module")
def prometheus(version: Artifact) -> Prometheus:
    columns = dataframes.check_features(data.load(), version.contract).columns
    many = {name: array.repeat(100, axis=0) for name, array in columns.items()}
    return Prometheus(version, many)


def count(prometheus: Any, folder: Path | None) -> dict[int, counters.Counted]:
    return counters.count(prometheus, WINDOW, NOW, lambda number: folder, 'a "model"')


def test_counters_have_the_drift_of_the_log(prometheus: Prometheus, version: Artifact) -> None:
    found = count(prometheus, version.folder)
    assert list(found) == [1]
    analysis = CountedVersion(VersionSource(1, folder=version.folder), found[1])
    everything = range(WINDOW.intervals)
    assert analysis.rows(everything) == pytest.approx(prometheus.counts.rows, rel=0.001)
    drift = {field.field: field.psi.value for field in analysis.drift(everything) if field.psi}
    expected = prometheus.counts.feature_drift(version.profile) | prometheus.counts.output_drift(version.profile)
    assert drift == pytest.approx(expected, abs=0.002)
    outliers = analysis.outliers(everything)
    assert outliers is not None
    assert outliers.value == pytest.approx(prometheus.counts.outliers / prometheus.counts.rows, rel=0.01)
    assert len(prometheus.expressions) < 8 * WINDOW.intervals
    assert analysis.rows(WINDOW.last(0.1)) < prometheus.counts.rows / 2


def test_counters_have_the_accuracy_of_all_rows(prometheus: Prometheus, version: Artifact) -> None:
    analysis = CountedVersion(VersionSource(1, folder=version.folder), count(prometheus, version.folder)[1])
    everything = range(WINDOW.intervals)
    [(group, estimates)] = analysis.quality(everything, Effort())
    accuracy = estimates["accuracy"]
    assert (group, accuracy.count) == ("", pytest.approx(1000, abs=1))
    assert accuracy.value == pytest.approx(0.9, abs=0.001)
    assert accuracy.low < accuracy.value < accuracy.high
    assert analysis.labels(everything) == accuracy.count
    assert list(analysis.quality(everything, Effort(), "sex/female")) == []
    assert (analysis.calibration(everything), analysis.outlier_rows(WINDOW, everything)) == ((), ())


def test_version_that_cannot_be_had_has_its_traffic(prometheus: Prometheus) -> None:
    analysis = CountedVersion(VersionSource(1, problem="gone"), count(prometheus, None)[1])
    everything = range(WINDOW.intervals)
    assert analysis.rows(everything) == pytest.approx(prometheus.counts.rows, rel=0.001)
    assert analysis.drift(everything) == () and analysis.outliers(everything) is None
    assert list(analysis.quality(everything, Effort())) == []


def test_mean_error_of_a_regression_has_an_interval() -> None:
    found = counters._mean_error(counters.Feedback(rows=400, absolute=800, squared=400 * (4 + 9)))
    assert (found.value, found.count) == (2, 400)
    assert (found.low, found.high) == pytest.approx((2 - 1.96 * 3 / 20, 2 + 1.96 * 3 / 20), abs=0.001)


def test_versions_of_several_models_are_not_added_up() -> None:
    class OfModels:
        jobs = ("a", "b")

        def query(self, expression: str) -> list[Series]:
            if "model_versions_loaded" not in expression:
                return []
            assert re.fullmatch(
                r"count by \(job\) \(last_over_time\(model_versions_loaded\[\d+s\] @ [\d.]+\)\)", expression
            )
            return [Series({"job": job}, 1) for job in self.jobs]

    models = OfModels()
    with pytest.raises(UserError, match=r"the jobs a, b\..*PROMETHEUS_JOB=a"):
        counters.count(models, WINDOW, NOW, lambda number: None)
    assert counters.count(models, WINDOW, NOW, lambda number: None, "a") == {}
    models.jobs = ("a",)
    assert counters.count(models, WINDOW, NOW, lambda number: None) == {}
