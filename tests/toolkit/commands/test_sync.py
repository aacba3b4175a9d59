"""The command that keeps the store in sync: one round, the loop, and webhooks."""

import json
import threading
import time

import httpx
import pytest
from pydantic import SecretStr
from titanic_survival import config, sync
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port, listen
from titanic_survival.toolkit.registry import webhook_receiver
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.release.store import Store


class EnoughError(Exception):
    """Ends the loop."""


def test_one_round_reconciles_the_store(project: config.Settings) -> None:
    connect(project.mlflow_tracking_uri, project.model_name).set_alias("champion", 1)
    Store(project.store).write(None)
    sync.run(project, once=True)
    release = Store(project.store).release()
    assert release is not None
    assert release.champion == 1


def test_one_round_that_fails_ends_in_an_error(project: config.Settings) -> None:
    with pytest.raises(UserError, match="make train"):
        sync.run(project.model_copy(update={"model_name": "another"}), once=True)


def test_loop_waits_as_long_as_each_step_returns() -> None:
    pauses, waits = iter([5.0, 10.0, 20.0]), list[float]()

    def step() -> float:
        pause = next(pauses, None)
        if pause is None:
            raise EnoughError
        return pause

    with pytest.raises(EnoughError):
        sync.repeat(step, threading.Event(), lambda changed, seconds: waits.append(seconds))
    assert waits == [5, 10, 20]


@pytest.fixture
def listening(project: config.Settings) -> config.Settings:
    """Return settings with which the loop listens."""
    return project.model_copy(update={"webhook_port": free_port(), "webhook_secret": SecretStr("a secret")})


@pytest.mark.parametrize(("secret", "status", "wakes"), [("a secret", 200, True), ("another", 401, False)])
def test_burst_of_signed_deliveries_is_one_more_round(
    listening: config.Settings, secret: str, status: int, wakes: bool
) -> None:
    body, now = json.dumps({"data": {"name": listening.model_name}}).encode(), str(int(time.time()))
    headers = {
        webhook_receiver.TIMESTAMP_HEADER: now,
        webhook_receiver.SIGNATURE_HEADER: webhook_receiver.sign(secret, "", now, body),
    }
    answers: list[int] = []
    woken: list[bool] = []

    def step() -> float:
        while len(answers) < 20:  # all during the first round
            url = f"http://127.0.0.1:{listening.webhook_port}"
            answers.append(httpx.post(url, content=body, headers=headers).status_code)
        return 5

    def wait(changed: threading.Event, seconds: float) -> None:
        woken.append(changed.is_set())
        if len(woken) == 2:
            raise EnoughError

    changed = threading.Event()
    with pytest.raises(EnoughError), sync._webhooks(listening, changed):
        sync.repeat(step, changed, wait)
    assert answers == [status] * 20
    assert woken == [wakes, False]


def test_pause_ends_when_something_has_changed() -> None:
    changed = threading.Event()
    sync.wait_for_change(changed, 0.01)
    threading.Timer(0.1, changed.set).start()
    start = time.monotonic()
    sync.wait_for_change(changed, 100)
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
