"""The loop that keeps the store in step."""

import json
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import mlflow
import pytest
from pydantic import SecretStr
from titanic_survival import config, sync
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port, listen
from titanic_survival.toolkit.registry import webhook_receiver
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release import desired
from titanic_survival.toolkit.release.store import Store


class EnoughError(Exception):
    """Ends the loop."""


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    """Return a registry in which version 2 is champion, and a store that has version 1."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    client = mlflow.MlflowClient()
    first = client.get_model_version(project.model_name, "1")
    client.create_model_version(project.model_name, first.source, tags=first.tags)
    registry.point("champion", 2)
    return registry


def rounds(settings: config.Settings, count: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, bool]]:
    """Run the loop some times and return its pauses, each with whether it was over as it began."""
    pauses: list[tuple[float, bool]] = []

    def wait(changed: threading.Event, seconds: float) -> None:
        pauses.append((seconds, changed.is_set()))
        if len(pauses) == count:
            raise EnoughError

    monkeypatch.setattr(sync, "_wait", wait)
    with pytest.raises(EnoughError):
        sync.run(settings)
    return pauses


def test_store_follows_the_registry(project: config.Settings, registry: Registry) -> None:
    sync.run(project, once=True)
    release = Store(project.store).release()
    assert release is not None
    assert release.champion == 2


def test_version_that_is_not_wanted_goes_after_the_grace_time(
    project: config.Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(project, 2, monkeypatch)
    assert Store(project.store).versions() == [1, 2]
    rounds(project.model_copy(update={"grace_seconds": 0}), 2, monkeypatch)
    assert Store(project.store).versions() == [2]


def test_failure_is_said_once_and_tried_again_less_often(
    project: config.Settings,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = Store(project.store).release()
    registry.drop("champion")
    pauses = rounds(project, 8, monkeypatch)
    assert [seconds for seconds, _ in pauses] == [10, 20, 40, 60, 60, 60, 60, 60]
    assert capsys.readouterr().out.count("no champion") == 1
    assert Store(project.store).release() == before
    assert "no champion" in Store(project.store).noted()
    with pytest.raises(UserError, match="no champion"):
        sync.run(project, once=True)
    registry.point("champion", 2)
    sync.run(project, once=True)
    assert Store(project.store).noted() == ""


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond a size: writing fails in its midst, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_disk_that_is_full_leaves_the_release_and_says_so_once(
    project: config.Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(project.store)
    before = store.release()
    with room_for(8_000):  # less than what a version brings along, more than the note of it
        rounds(project, 3, monkeypatch)
    assert capsys.readouterr().out.count("File too large") == 1
    assert "File too large" in store.noted()
    assert store.release() == before
    assert [path.name for path in (store.root / "versions").iterdir()] == ["1"]
    rounds(project, 1, monkeypatch)
    assert (store.versions(), store.noted()) == ([1, 2], "")


@pytest.fixture
def listening(project: config.Settings) -> config.Settings:
    """Return settings with which the loop listens."""
    return project.model_copy(update={"webhook_port": free_port(), "webhook_secret": SecretStr("a secret")})


@pytest.mark.parametrize(("secret", "status", "wakes"), [("a secret", 200, True), ("another", 401, False)])
def test_burst_of_signed_deliveries_is_one_more_round(
    listening: config.Settings, monkeypatch: pytest.MonkeyPatch, secret: str, status: int, wakes: bool
) -> None:
    body, now = json.dumps({"data": {"name": listening.model_name}}).encode(), str(int(time.time()))
    headers = {
        webhook_receiver.TIMESTAMP_HEADER: now,
        webhook_receiver.SIGNATURE_HEADER: webhook_receiver.sign(secret, "", now, body),
    }
    answers: list[int] = []

    def converge(*given: Any) -> Any:
        while len(answers) < 20:  # all in the midst of the first round
            url = f"http://127.0.0.1:{listening.webhook_port}"
            answers.append(httpx.post(url, content=body, headers=headers).status_code)
        return desired.converge(*given)

    monkeypatch.setattr(sync, "converge", converge)
    woken = [woken for _, woken in rounds(listening, 2, monkeypatch)]
    assert answers == [status] * 20
    assert woken == [wakes, False]


def test_pause_ends_when_something_has_changed() -> None:
    changed = threading.Event()
    sync._wait(changed, 0.01)
    threading.Timer(0.1, changed.set).start()
    start = time.monotonic()
    sync._wait(changed, 100)
    assert sync.SHORTEST_PAUSE <= time.monotonic() - start < 50


def test_webhook_port_that_is_taken_is_named(listening: config.Settings) -> None:
    port = listening.webhook_port
    with listen("127.0.0.1", port) as other:
        other.listen()
        with pytest.raises(UserError, match=f"WEBHOOK_PORT={port + 1}"):
            sync.run(listening)


def test_webhook_is_registered_with_a_secret_at_a_server_only(project: config.Settings) -> None:
    with pytest.raises(UserError, match="WEBHOOK_SECRET is not set"):
        sync.register(project, "https://example.com")
    with pytest.raises(UserError, match="is a database, and only an MLflow server delivers"):
        sync.register(project.model_copy(update={"webhook_secret": SecretStr("a secret")}), "https://example.com")
