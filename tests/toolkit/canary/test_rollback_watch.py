"""Automatic rollback: which alerts bring the champion before back, once, and what does not."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import mlflow
import pytest
from titanic_survival import config, promote, sync
from titanic_survival.toolkit.canary import rollback_watch
from titanic_survival.toolkit.canary.rollback_watch import RollbackWatch
from titanic_survival.toolkit.monitoring import prometheus_api
from titanic_survival.toolkit.monitoring.prometheus_api import PrometheusApi
from titanic_survival.toolkit.registry import history
from titanic_survival.toolkit.registry.client import Registry
from titanic_survival.toolkit.release.approval import ApprovalRules
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.release.synchronizer import Synchronizer
from titanic_survival.toolkit.release.warm_file import WarmFile

Watch = Callable[..., RollbackWatch]


class Prometheus:
    """Answers as a Prometheus does, with the alerts that a test sets."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        self.jobs = ["model"]
        #: Answered instead of the alerts, with a status.
        self.instead: tuple[int, bytes] | None = None
        self.pause = 0.0
        self.asked = 0

    def fires(self, version: int = 2, seconds: float = 0, **labels: str) -> None:
        """Have an alert fire that began some seconds after now."""
        since = datetime.now(UTC) + timedelta(seconds=seconds)
        self.alerts.append(
            {
                "labels": {"alertname": "RequestsFail", "job": "model", "version": str(version), "rollback": "true"}
                | labels,
                "annotations": {"summary": f"Version {version} fails on 40% of its requests"},
                "state": "firing",
                "activeAt": f"{since:%Y-%m-%dT%H:%M:%S}.123456789Z",
                "value": "4e-01",
            }
        )

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return what a path answers."""
        if path.endswith("/alerts"):
            self.asked += 1
            time.sleep(self.pause)
            return self.instead or (200, self._success({"alerts": self.alerts}))
        series = [{"metric": {"job": job}, "value": [0, "1"]} for job in self.jobs]
        return 200, self._success({"resultType": "vector", "result": series})

    def _success(self, data: dict[str, Any]) -> bytes:
        return json.dumps({"status": "success", "data": data}).encode()


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    prometheus = Prometheus()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = prometheus.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        prometheus.url = f"http://127.0.0.1:{server.server_port}"
        yield prometheus
        server.shutdown()
        thread.join()


@pytest.fixture
def registry(versions: Callable[[int], Registry]) -> Registry:
    """Return a registry of four versions with passed gates; 1 was promoted, then 2."""
    registry = versions(4)
    for key in registry.tags():
        registry.delete_tag(key)
    for number in (1, 2):
        history.move_champion(registry, number, history.PROMOTED, "better", [])
    return registry


@pytest.fixture
def watch(prometheus: Prometheus) -> Watch:
    """Return a function that makes a watch, which waits for nobody."""

    def watch(**options: Any) -> RollbackWatch:
        options = {"approvals": ApprovalRules(), "seconds": 100, "wait": lambda seconds: None} | options
        return RollbackWatch(PrometheusApi(prometheus.url), **options)

    return watch


def champion(registry: Registry) -> int:
    return registry.get("champion").number


def test_alert_of_the_new_champion_brings_the_one_before_back(
    registry: Registry, prometheus: Prometheus, watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    prometheus.fires(seconds=1)
    watch()(registry)
    event = history.events(registry)[-1]
    assert (champion(registry), event.action, event.source, event.target) == (1, "rolled back", 2, 1)
    assert event.who == "automatic rollback"
    for part in ("RequestsFail", "Version 2 fails on 40% of its requests", "4e-01"):
        assert part in event.why
    assert "Version 1 is champion now, instead of version 2" in capsys.readouterr().out


def test_any_other_alert_does_nothing(registry: Registry, prometheus: Prometheus, watch: Watch) -> None:
    others = ({"version": 1}, {"version": 3}, {"rollback": "false"}, {"rollback": ""}, {"seconds": -60}, {})
    for other in others:
        prometheus.fires(**({"seconds": 1} | other))
    prometheus.alerts[-1]["state"] = "pending"
    watched = watch()
    watched(registry)
    assert (champion(registry), prometheus.asked) == (2, 1)
    prometheus.alerts[-1]["state"] = "firing"
    watched(registry)
    assert champion(registry) == 1


@pytest.mark.parametrize("job", ["", "model", "boats"])
def test_alert_of_another_model_does_nothing(
    registry: Registry, prometheus: Prometheus, watch: Watch, capsys: pytest.CaptureFixture[str], job: str
) -> None:
    prometheus.jobs.append("boats")
    prometheus.fires(seconds=1)
    watched = watch(job=job)
    watched(registry)
    watched(registry)
    assert champion(registry) == (1 if job == "model" else 2)
    assert capsys.readouterr().out.count("PROMETHEUS_JOB=boats") == (job == "")


def test_promotion_is_watched_for_its_time_alone(
    registry: Registry, prometheus: Prometheus, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    prometheus.fires(seconds=1)
    later = type("Later", (datetime,), {"now": classmethod(lambda cls, zone: datetime.now(zone) + timedelta(0, 100))})
    with monkeypatch.context() as patch:
        patch.setattr(rollback_watch, "datetime", later)
        watch()(registry)
    assert (champion(registry), prometheus.asked) == (2, 0)
    watch()(registry)
    assert champion(registry) == 1


def test_one_rollback_follows_a_promotion_and_none_a_rollback(
    project: config.Settings, registry: Registry, prometheus: Prometheus, watch: Watch
) -> None:
    for version in (1, 2):
        prometheus.fires(version, seconds=1)
    watched = watch()
    for _ in range(3):
        watched(registry)
    assert champion(registry) == 1
    history.move_champion(registry, 3, history.PROMOTED, "better", [])
    promote.roll_back(project, "by hand")
    watched(registry)
    assert [event.action for event in history.events(registry)].count("rolled back") == 2
    assert prometheus.asked == 1


def test_version_that_an_alert_took_back_does_not_come_again_by_itself(
    registry: Registry, prometheus: Prometheus, watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    prometheus.fires(2, seconds=1)
    watched = watch()
    watched(registry)
    for number in (2, 3):
        history.move_champion(registry, number, history.PROMOTED, "all the same", [])
    prometheus.fires(3, seconds=1)
    for _ in range(2):
        watched(registry)
    assert champion(registry) == 3
    assert capsys.readouterr().out.count("version 2 before it was itself rolled back by an alert") == 1


def test_first_champion_has_none_before_it(
    registry: Registry, prometheus: Prometheus, watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in history.recorded(registry.tags()):
        mlflow.MlflowClient().delete_registered_model_tag(registry.name, key)
    mlflow.MlflowClient().delete_registered_model_alias(registry.name, "champion")
    history.move_champion(registry, 2, history.PROMOTED, "first", [])
    prometheus.fires(2, seconds=1)
    watched = watch()
    for _ in range(2):
        watched(registry)
    assert champion(registry) == 2
    assert capsys.readouterr().out.count("not rolled back: Version 2 is the first champion") == 1


def test_only_an_approved_version_comes_back(
    project: config.Settings,
    registry: Registry,
    prometheus: Prometheus,
    watch: Watch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prometheus.fires(2, seconds=1)
    strict = watch(approvals=ApprovalRules(required=True))
    for _ in range(2):
        strict(registry)
    assert champion(registry) == 2
    assert capsys.readouterr().out.count("nobody has approved it") == 1
    governed = project.model_copy(update={"approval_required": True})
    for number in ("1", "3"):
        promote.run(governed, number, "reviewed")
    prometheus.fires(3, seconds=1)
    strict(registry)
    assert champion(registry) == 1


@pytest.mark.parametrize("moment", ["before the claim", "after the claim"])
def test_of_two_that_follow_the_registry_one_rolls_back(
    registry: Registry, prometheus: Prometheus, watch: Watch, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    prometheus.fires(2, seconds=1)
    other = Registry(registry.uri, registry.name)
    if moment == "before the claim":
        set_tag = registry.set_tag
        monkeypatch.setattr(registry, "set_tag", lambda *tag: (watch()(other), set_tag(*tag)))
        first = watch()
    else:
        first = watch(wait=lambda seconds: watch()(other))
    first(registry)
    assert champion(registry) == 1
    assert [event.action for event in history.events(registry)] == ["promoted", "promoted", "rolled back"]


def test_claim_that_somebody_else_took_over_is_theirs(registry: Registry, prometheus: Prometheus, watch: Watch) -> None:
    prometheus.fires(2, seconds=1)
    watch(wait=lambda seconds: registry.set_tag("rollback.claim", "another"))(registry)
    assert champion(registry) == 2
    watch()(registry)
    assert champion(registry) == 1


#: What a Prometheus, or what is in its place, answers, and what is said of it; without an answer it is too slow.
FAILURES = [
    ((401, b"no"), "rejects the credentials"),
    ((200, b"<html>Welcome</html>"), "no answer of a Prometheus"),
    ((503, b"busy"), "answers 503"),
    ((200, b'{"status": "error", "error": "shutting down"}'), "shutting down"),
    ((200, b'{"status": "success", "data": {"alerts": [{"state": "firing"}]}}'), "cannot be read"),
    ((200, b'{"status": "success", "data": {"alerts": 1}}'), "cannot be read"),
    ((200, b'{"status": "success", "data": []}'), "no answer of a Prometheus"),
    (None, "does not answer"),
]


def test_prometheus_that_fails_is_named_once_and_nothing_is_rolled_back(
    registry: Registry,
    prometheus: Prometheus,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prometheus.fires(2, seconds=1)
    now = [0.0]
    watched = watch(clock=lambda: now[0])
    for answer, expected in FAILURES:
        prometheus.instead, prometheus.asked, start = answer, 0, now[0] + 1000
        with monkeypatch.context() as patch:
            if answer is None:
                patch.setattr(prometheus_api, "TIMEOUT_SECONDS", -1.9)
                prometheus.pause = 0.3
            for now[0] in (start, start + 30, start + 60):
                watched(registry)
        printed = capsys.readouterr().out
        assert (printed.count("are not known"), prometheus.asked) == (1, 2), answer
        assert expected in printed
        assert champion(registry) == 2
    prometheus.instead, prometheus.pause, now[0] = None, 0, now[0] + 60
    watched(registry)
    assert champion(registry) == 1


def test_rollback_that_mlflow_forbids_is_said_once_and_tried_again(
    registry: Registry,
    prometheus: Prometheus,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prometheus.fires(2, seconds=1)
    watched = watch()
    with monkeypatch.context() as patch:
        error = mlflow.exceptions.MlflowException("no", mlflow.protos.databricks_pb2.PERMISSION_DENIED)
        patch.setattr(registry, "set_tag", lambda *_: (_ for _ in ()).throw(error))
        for _ in range(2):
            watched(registry)
    assert champion(registry) == 2
    assert capsys.readouterr().out.count("not rolled back") == 1
    watched(registry)
    assert champion(registry) == 1


def test_round_that_rolls_back_serves_the_champion_before(
    project: config.Settings, registry: Registry, prometheus: Prometheus, watch: Watch
) -> None:
    store = Store(project.store)
    synchronizer = Synchronizer(
        registry.uri, registry.name, store, interval=5, grace=100, rollback_seconds=100, watch=watch()
    )
    synchronizer.round()
    assert (store.release().champion, WarmFile(store.root).read().number) == (2, 1)
    prometheus.fires(2, seconds=1)
    synchronizer.round()
    assert (store.release().champion, WarmFile(store.root).read().number) == (1, 2)


def test_sync_watches_only_where_a_prometheus_and_a_time_are_set(
    project: config.Settings, registry: Registry, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback_watch, "CLAIM_SECONDS", 0)
    prometheus.fires(2, seconds=1)
    for changes in ({}, {"prometheus_url": prometheus.url, "rollback_seconds": 0}):
        sync.run(project.model_copy(update=changes), once=True)
        assert (champion(registry), prometheus.asked) == (2, 0)
    sync.run(project.model_copy(update={"prometheus_url": prometheus.url}), once=True)
    assert champion(registry) == 1
