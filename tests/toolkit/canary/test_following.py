"""How a service comes to serve the weights of the registry: each target in its way, and services that do not follow."""

import errno
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from titanic_survival import canary as command
from titanic_survival import config
from titanic_survival.shared import targets
from titanic_survival.toolkit.canary import following
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.registry import deployments, history
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release.deployment_history import DeploymentHistory
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.release.targets import Deployment, Rollout, RolloutError
from titanic_survival.toolkit.release.warm_file import WarmFile
from titanic_survival.toolkit.release.warmer import Warmer


class Target:
    """A target whose service is a page with the store's traffic weights, as soon as it was deployed."""

    place = "here"

    def __init__(self, store: Store) -> None:
        self.store, self.applied, self.problem = store, 0, ""
        self.served: Release | None = None
        target = self

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                release = target.served
                weights = (release.weights or {release.champion: 100}) if release else {}
                body = json.dumps({"traffic": weights, "problem": target.problem}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def apply(self, champion: Any) -> Rollout:
        """Serve the store's release."""
        self.applied += 1
        self.served = self.store.release()
        return Rollout("", "")

    def running(self) -> Deployment | None:
        """Return what is served."""
        if self.served is None:
            return None
        url = f"http://127.0.0.1:{self.server.server_port}"
        return Deployment(url, "ready", self.served, datetime.now(UTC), {})


@pytest.fixture
def target(project: config.Settings) -> Iterator[Target]:
    target = Target(Store(project.store))
    target.apply(None)
    target.applied = 0
    yield target
    target.server.shutdown()
    target.server.server_close()


@pytest.fixture
def service(
    project: config.Settings,
    target: Target,
    versions: Callable[[int], Registry],
    monkeypatch: pytest.MonkeyPatch,
) -> following.Service:
    """Return the service of a registry that gives half of the traffic to version 2."""
    monkeypatch.setattr(following, "FOLLOW_SECONDS", 0.3)
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.05)
    registry = versions(2)
    registry.set_alias("champion", 1)
    registry.set_tag("traffic", "champion=50,2=50")

    @contextmanager
    def open_registry() -> Iterator[Registry]:
        yield registry

    store = Store(project.store)
    recorded = DeploymentHistory(project.mlflow_tracking_uri, project.model_name, "local", "here")
    return following.Service(target, store, Warmer(store, 3600), open_registry, recorded, "")


def test_champion_before_stays_warm_after_a_promotion(
    service: following.Service, target: Target, project: config.Settings
) -> None:
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    service.deploy({1: 50, 2: 50})
    assert WarmFile(project.store).read() is None, "both answer"
    history.move_champion(registry, 2, history.PROMOTED, "a test")
    service.deploy({2: 100})
    warm = WarmFile(project.store).read()
    assert warm is not None and warm.number == 1


def test_container_is_deployed_for_each_step(service: following.Service, target: Target) -> None:
    service.deploy({1: 50, 2: 50})
    assert target.applied == 1
    assert target.served is not None and target.served.weights == {1: 50, 2: 50}


def test_history_has_what_was_served_in_each_step(
    service: following.Service, target: Target, project: config.Settings
) -> None:
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    service.deploy({1: 50, 2: 50})
    service.follow_store({1: 50, 2: 50})
    history.move_champion(registry, 2, history.PROMOTED, "a test")
    registry.delete_tag("traffic")
    service.deploy({2: 100})
    served = [event.serves for event in deployments.events(registry)]
    assert served == ["versions 1 = challenger = champion, 2; traffic: 50 % to 1, 50 % to 2", "version 2 = champion"]


def test_full_disk_is_a_sentence_and_the_service_stays(
    service: following.Service, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "write", fail)
    with pytest.raises(UserError, match=r"No space left on device\. Make room"):
        service.follow_store({1: 50, 2: 50})
    assert target.served is not None and target.served.champion == 1


def test_process_that_does_not_follow_its_store_is_said(service: following.Service, target: Target) -> None:
    with pytest.raises(UserError, match=r"still serves other traffic weights \(100 % to 1\): make deploy"):
        service.follow_store({1: 50, 2: 50})
    assert target.applied == 0
    target.problem = "version 2 does not load"
    with pytest.raises(RolloutError, match="version 2 does not load"):
        service.follow_store({1: 50, 2: 50})


def test_service_that_does_not_answer_is_said() -> None:
    client = following.ServiceClient("")
    with pytest.raises(UserError, match=r"/model does not answer.*make status"):
        following.served_at(client, f"http://127.0.0.1:{free_port()}")


def test_cluster_is_rolled_out_or_follows_by_itself(service: following.Service, target: Target) -> None:
    rolled: list[Release] = []

    def roll_out(release: Release) -> None:
        rolled.append(release)
        target.apply(None)

    service.roll_out({1: 50, 2: 50}, roll_out, 1)
    assert [release.weights for release in rolled] == [{1: 50, 2: 50}]
    service.roll_out({1: 50, 2: 50}, None, 1)
    assert len(rolled) == 1
    with pytest.raises(UserError, match="other traffic weights"):
        service.roll_out({1: 100}, None, 0.1)
    target.served = None
    with pytest.raises(UserError, match="Nothing is deployed"):
        service.roll_out({1: 100}, None, 0.1)


def test_challenger_with_failed_gates_gets_no_canary(
    project: config.Settings, target: Target, service: following.Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "target", lambda settings: target)
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    registry.set_version_tags(2, {"gates": "failed", "gates.failed": "accuracy is 0.2, it must be at least 0.5"})
    with pytest.raises(
        UserError, match=r"Version 2 has not passed its gates: accuracy is 0\.2.*Train a better"
    ) as error:
        command.run(project, "2")
    assert "FORCE" not in str(error.value) and "promoted" not in str(error.value)


def test_replicas_of_a_cluster_are_counted_by_prometheus_alone(
    project: config.Settings, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "target", lambda settings: target)
    with pytest.raises(UserError, match="set PROMETHEUS_URL"):
        command.run(project.model_copy(update={"target": "kubernetes"}))
    with pytest.raises(UserError, match="PROMETHEUS_URL=prometheus:9090"):
        command.run(project.model_copy(update={"prometheus_url": "prometheus:9090"}))
