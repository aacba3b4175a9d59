"""Counts by version, read from replicas and from a real Prometheus that scrapes them."""

import http.server
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from titanic_survival.toolkit.canary.counting import PrometheusCounting
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.monitoring import prometheus_api, version_counts
from titanic_survival.toolkit.monitoring.prometheus_api import PrometheusApi, PrometheusError, Series
from titanic_survival.toolkit.monitoring.version_counts import VersionCounts, increases, scrape

METRICS = """
model_versions_loaded 2
model_service_started_seconds 1700000000.5
model_output_reference_share{{version="2",output="survived",bin="true"}} 0.4
model_requests_total{{version="1",code="200"}} {0}
model_requests_total{{version="2",code="200"}} {1}
model_requests_total{{version="2",code="500"}} {2}
model_request_seconds_bucket{{version="2",le="0.01"}} {1}
model_request_seconds_bucket{{version="2",le="+Inf"}} {1}
model_request_seconds_sum{{version="2"}} 9
model_output_bin_rows_total{{version="2",output="survived",bin="true"}} {1}
model_feedback_rows_total{{version="2",predicted="true",actual="true",correct="true"}} {0}
model_feedback_rows_total{{version="2",predicted="false",actual="false",correct="true"}} {0}
model_feedback_rows_total{{version="2",predicted="true",actual="false",correct="false"}} {2}
model_feedback_rows_total{{version="other",predicted="",actual="",correct=""}} 5
model_feedback_rows_total{{version="3",predicted="",actual="",correct=""}} {0}
model_feedback_absolute_error_total{{version="3"}} {1}
"""


class Replica:
    """Answers `/metrics` with three numbers that a test may change."""

    def __init__(self) -> None:
        self.numbers = (0, 0, 0)
        replica = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = METRICS.format(*replica.numbers).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def replicas() -> Iterator[list[Replica]]:
    """Start two replicas."""
    found = [Replica(), Replica()]
    yield found
    for replica in found:
        replica.server.shutdown()
        replica.server.server_close()


@pytest.fixture(scope="module")
def prometheus(replicas: list[Replica], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Prometheus that scrapes both every 0.2 s, and return its address."""
    folder = tmp_path_factory.mktemp("prometheus")
    program = shutil.which("prometheus")
    if program is None:
        assert "REQUIRE_TOOLS" not in os.environ, "prometheus is not installed"
        pytest.skip("prometheus is not installed")
    places = ", ".join(replica.place for replica in replicas)
    (folder / "p.yml").write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        f"scrape_configs: [{{job_name: model, static_configs: [{{targets: [{places}]}}]}}]\n"
    )
    place = f"localhost:{free_port()}"
    command = [program, "--config.file", str(folder / "p.yml"), "--storage.tsdb.path", str(folder / "data")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--web.listen-address", place], stdout=log, stderr=log)
    yield f"http://{place}"
    process.terminate()
    process.wait(20)


def wait_for(address: str, version: int, rows: float) -> None:
    """Wait until a Prometheus has scraped from each replica that it has so many rows of a class."""
    deadline = time.monotonic() + 20
    while True:
        try:
            found = PrometheusApi(address).query(f'model_output_bin_rows_total{{version="{version}"}} >= {rows}')
        except PrometheusError:
            found = []
        if len(found) == 2:
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_counters_of_one_service_are_read_by_version(replicas: list[Replica]) -> None:
    replicas[0].numbers = (100, 30, 4)
    started, found = scrape(f"http://{replicas[0].place}")
    assert started == 1700000000.5
    assert found[1].answered == 100
    assert (found[2].requests, found[2].status("5")) == ({"200": 30, "500": 4}, 4)
    assert found[2].seconds == {"0.01": 30, "+Inf": 30}
    assert found[2].outputs == {"survived": {"true": 30}}
    assert found[2].reference == {"survived": {"true": 0.4}}
    assert found[2].labels == {"true": 200, "false": 4}
    assert (found[3].labels, found[3].numbers, found[3].absolute_error) == ({}, 100, 30)


def test_the_increase_of_a_service_that_was_started_anew_is_all_that_it_counts() -> None:
    before = VersionCounts(requests={"200": 50, "500": 1}, rows=60, labels={"true": 5})
    after = VersionCounts(requests={"200": 70, "500": 1}, rows=90, labels={"true": 6}, reference={"y": {"a": 1}})
    grown = after.since(before)
    assert (grown.requests, grown.rows, grown.labels) == ({"200": 20, "500": 0}, 30, {"true": 1})
    assert grown.reference == {"y": {"a": 1}}
    assert before.since(after) == before
    assert before.plus(grown).requests == after.requests


def test_a_service_that_does_not_answer_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"does not answer.*make status"):
        scrape(f"http://127.0.0.1:{free_port()}")


def test_prometheus_adds_up_replicas_and_knows_that_one_was_started_anew(
    replicas: list[Replica], prometheus: str
) -> None:
    wait_for(prometheus, 2, 0)
    start = time.monotonic()
    for replica in replicas:
        replica.numbers = (1000, 500, 20)
    wait_for(prometheus, 2, 500)
    replicas[1].numbers = (300, 0, 0)  # it began again, and answers for version 1 alone
    deadline = time.monotonic() + 10
    while increases(PrometheusApi(prometheus), time.monotonic() - start + 1)[1].answered < 2100:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    counting = PrometheusCounting(PrometheusApi(prometheus), prometheus)
    mark = counting.mark()
    assert mark.counts == {}
    found = counting.since(
        mark.model_copy(update={"time": mark.time - timedelta(seconds=time.monotonic() - start + 1)})
    )
    # Prometheus extrapolates to the whole time, which is a few scrapes here.
    assert 2100 < found[1].answered < 2300 * 3
    assert 1040 * 0.9 < found[2].answered < 1040 * 3
    assert found[2].status("5") / found[2].answered == pytest.approx(20 / 520, rel=0.1)
    assert found[2].outputs["survived"]["true"] == found[2].seconds["0.01"]
    assert found[2].reference == {"survived": {"true": 0.4}}
    assert found[2].labels["true"] == pytest.approx(2 * found[3].numbers, rel=0.1)


def test_problems_of_prometheus_are_sentences(prometheus: str, replicas: list[Replica]) -> None:
    wait_for(prometheus, 2, 0)
    with pytest.raises(UserError, match=r"answers 400: .*parse error"):
        PrometheusApi(prometheus).query("sum(")
    with pytest.raises(UserError, match="answers 200: a scalar, not a vector"):
        PrometheusApi(prometheus).query("1")
    assert increases(PrometheusApi(prometheus), 60, job="another") == {}
    with pytest.raises(UserError, match=r"PROMETHEUS_URL.*no answer of a Prometheus"):
        PrometheusApi(f"http://{replicas[0].place}").query("up")
    with pytest.raises(PrometheusError, match="does not answer"):
        PrometheusApi(f"http://127.0.0.1:{free_port()}").query("up")
    with pytest.raises(UserError, match="must begin with http"):
        PrometheusApi("localhost:9090")


def test_of_several_models_one_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    api, asked = PrometheusApi("http://localhost:9"), []

    def query(expression: str) -> list[Series]:
        asked.append(expression)
        return [Series({"job": "houses"}, 1), Series({"job": "boats"}, 1)]

    monkeypatch.setattr(api, "query", query)
    with pytest.raises(UserError, match=r"the jobs boats, houses.*PROMETHEUS_JOB=boats"):
        increases(api, 60)
    increases(api, 60, 'bo"ats')
    assert r'{job="bo\"ats"}[60s]' in asked[-1]


class _EndlessAnswer(http.server.BaseHTTPRequestHandler):
    """Answers 200 with a body that comes in parts and never ends."""

    part, pause = b" ", 0.05

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(self.part)
                time.sleep(self.pause)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *arguments: object) -> None:
        pass


class _Flood(_EndlessAnswer):
    part, pause = b'model_requests_total{version="1",code="200"} 1\n' * 1000, 0.0


@pytest.mark.parametrize("handler", [_EndlessAnswer, _Flood])
def test_metrics_that_never_end_are_given_up(handler: type[_EndlessAnswer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_counts, "TIMEOUT_SECONDS", 0.5 if handler is _EndlessAnswer else 60)
    monkeypatch.setattr(version_counts, "MOST_BYTES", 1_000_000)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started = time.monotonic()
        with pytest.raises(UserError, match=r"/metrics has no end within .* s and 1,000,000 bytes"):
            scrape(f"http://127.0.0.1:{server.server_port}")
        assert time.monotonic() - started < 5
        server.shutdown()


def test_page_that_is_no_metrics_is_a_sentence(replicas: list[Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    for page in ("<html><body>Hello</body></html>", '{{"error": "no such page"}}'):
        monkeypatch.setitem(globals(), "METRICS", page)
        with pytest.raises(UserError, match="/metrics has no metrics, but"):
            scrape(f"http://{replicas[0].place}")


def test_answer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_api, "TIMEOUT_SECONDS", -1.5)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _EndlessAnswer) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started = time.monotonic()
        with pytest.raises(UserError, match="no answer of a Prometheus"):
            PrometheusApi(f"http://127.0.0.1:{server.server_port}").query("up")
        assert time.monotonic() - started < 5
        server.shutdown()
