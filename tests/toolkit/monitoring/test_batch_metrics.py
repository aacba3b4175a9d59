"""Metrics of a batch job: in a Pushgateway, in a textfile of node_exporter, and for its MLflow run."""

import base64
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.contract.columns import Columns
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.monitoring.batch_metrics import BatchMetrics, JobReport
from titanic_survival.toolkit.monitoring.bin_counts import BinCounts
from titanic_survival.toolkit.version.reference_profile import Profile


class Row(BaseModel):
    """A number and a category."""

    amount: float
    colour: Literal["red", "green"]


class Prediction(BaseModel):
    """A number."""

    price: float


def drawn(seed: int, rows: int = 1000) -> tuple[Columns, Columns]:
    """Return rows and predictions."""
    random = np.random.default_rng(seed)
    amount = random.normal(size=rows).astype(np.float32)
    return {"amount": amount, "colour": np.array(["red", "green"] * (rows // 2), object)}, {"price": amount * 2}


def made(version: int = 3, **columns: np.ndarray) -> JobReport:
    (training, _), (holdout, predictions) = drawn(0), drawn(1)
    profile = Profile.of(
        derive(Row, Prediction), training=training, holdout=holdout, predictions=predictions, label=np.zeros(1000)
    )
    given, predicted = drawn(2)
    counts = BinCounts.of(profile, given | columns, predicted)
    return JobReport(version, profile, rows=1010, rejected=10, seconds=2.5, end=1_700_000_000.0, counts=counts)


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return the value of each sample, by its name and the values of its labels in the order of their names."""
    families = text_string_to_metric_families(text)
    found = [sample for family in families for sample in family.samples if sample.name.startswith("model_")]
    return {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value for sample in found}


def check(found: dict[tuple[str, ...], float], report: JobReport, job: str = "titanic") -> None:
    """Assert that metrics are those of a job."""
    version, counts = str(report.version), report.counts
    assert found["model_batch_rows", job, version] == 1010
    assert found["model_batch_rejected_rows", job, version] == 10
    assert found["model_batch_seconds", job, version] == 2.5
    assert found["model_batch_last_success_seconds", job, version] == 1_700_000_000
    assert found["model_batch_outlier_rows", job, version] == counts.outliers
    assert found["model_outlier_reference_share", job, version] == report.profile.outliers.rate
    for kind, all_bins, rows in (
        ("feature", report.profile.features, counts.features),
        ("output", report.profile.outputs, counts.outputs),
    ):
        for name, bins in all_bins.items():
            for bin_, share, count in zip(bins.names, bins.shares, rows[name], strict=True):
                labels = (bin_, *sorted([("job", job), (kind, name)]))
                values = (bin_, *(value for _, value in labels[1:]), version)
                assert found[f"model_{kind}_reference_share", *values] == share
                assert found[f"model_batch_{kind}_bin_rows", *values] == count


@pytest.fixture(scope="module")
def pushgateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a real Pushgateway."""
    program = shutil.which("prometheus-pushgateway") or shutil.which("pushgateway")
    if not program:
        assert "REQUIRE_TOOLS" not in os.environ
        pytest.skip("no Pushgateway is installed; Debian has it in prometheus-pushgateway")
    port, folder = free_port(), tmp_path_factory.mktemp("pushgateway")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--web.listen-address=127.0.0.1:{port}", "--persistence.file="],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    address = f"127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                if requests.get(f"http://{address}/-/ready", timeout=1).ok:
                    break
            except requests.RequestException:
                assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def test_pushgateway_has_the_metrics_of_the_last_job(pushgateway: str) -> None:
    metrics = BatchMetrics("titanic", pushgateway)
    assert metrics.publish(made(version=2)) == []
    assert metrics.publish(made()) == []
    assert BatchMetrics("a/model of another name", f"http://{pushgateway}/").publish(made()) == []
    found = samples(requests.get(f"http://{pushgateway}/metrics", timeout=5).text)
    # A Pushgateway adds an empty label `instance`.
    found = {tuple(value for value in key if value): rows for key, rows in found.items()}
    check(found, made())
    check(found, made(), "a/model of another name")
    assert not [key for key in found if key[-1] == "2"], "version 2 is gone with its job"


def test_what_a_pushgateway_rejects_is_a_warning(pushgateway: str) -> None:
    (warning,) = BatchMetrics("", pushgateway).publish(made())
    assert warning.startswith(f"The metrics of this job were not pushed to PUSHGATEWAY={pushgateway}: ")
    assert "400" in warning


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "http://ada:secret@127.0.0.1:{}", "http://127.0.0.1:x{}"])
def test_pushgateway_that_is_away_is_a_warning(address: str) -> None:
    (warning,) = BatchMetrics("titanic", address.format(free_port())).publish(made())
    assert "\n" not in warning
    assert "<urlopen" not in warning


def test_user_and_password_of_the_address_are_sent() -> None:
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            got.append((self.path, self.headers["Authorization"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = f"http://ada:p%40ss@127.0.0.1:{server.server_port}/push"
        assert BatchMetrics("titanic", address).publish(made()) == []
        thread.join(10)
    ((path, authorization, body),) = got
    assert path == "/push/metrics/job/titanic"
    assert base64.b64decode(authorization.removeprefix("Basic ")) == b"ada:p@ss"
    check(samples(body), made())


def test_textfile_is_whole_and_readable_by_others(tmp_path: Path) -> None:
    file = tmp_path / "titanic.prom"
    file.write_text("of an earlier job")
    before = file.stat().st_ino
    mask = os.umask(0o077)
    try:
        assert BatchMetrics("titanic", file=str(file)).publish(made()) == []
    finally:
        os.umask(mask)
    check(samples(file.read_text()), made())
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.stat().st_ino != before, "who has it open reads on in the earlier file"
    assert list(tmp_path.iterdir()) == [file]


def test_job_without_a_valid_row_has_bins_without_rows(tmp_path: Path) -> None:
    file = tmp_path / "titanic.prom"
    assert BatchMetrics("titanic", file=str(file)).publish(made()._replace(rejected=1010, counts=BinCounts())) == []
    found = samples(file.read_text())
    assert {rows for key, rows in found.items() if key[0].endswith("bin_rows")} == {0}
    assert found["model_batch_feature_bin_rows", "red", "colour", "titanic", "3"] == 0


def test_textfile_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "titanic.prom"
    file.mkdir()
    (warning,) = BatchMetrics("titanic", file=str(file)).publish(made())
    assert warning == f"{file}: the metrics of this job were not written: Is a directory"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("pushgateway", "file", "said"),
    [
        ("", "metrics.txt", r"METRICS_FILE=metrics.txt: the name must end in \.prom"),
        ("", "nowhere/x.prom", "there is no folder nowhere"),
        ("ftp://example.com", "", "PUSHGATEWAY=ftp://example.com: the address must begin with http"),
    ],
)
def test_places_that_cannot_be_used_are_named_before_a_job(pushgateway: str, file: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        BatchMetrics("titanic", pushgateway, file)


def test_run_has_the_drift_of_each_feature_and_output() -> None:
    shifted = np.full(1000, 9, np.float32)
    found = made(amount=shifted).run_metrics()
    assert found.items() >= {"rows": 1010, "rejected": 10, "seconds": 2.5}.items()
    assert found["outliers"] == 1000
    assert found["max_drift"] == found["drift/amount"] > 0.25 > found["drift/colour"]
    assert found["output_drift/price"] < 0.25


def test_run_of_few_rows_has_no_drift() -> None:
    report = made()
    few = report._replace(counts=BinCounts())
    assert few.run_metrics() == {"rows": 1010, "rejected": 10, "outliers": 0, "seconds": 2.5}
