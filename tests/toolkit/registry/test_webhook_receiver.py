"""Receiving MLflow's webhooks: which deliveries report a change, and which are rejected."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from titanic_survival.toolkit.registry import webhook_receiver

SECRET, NAME = "a secret of ours", "ours"


class Receiver:
    """A receiver that counts the changes it reported."""

    def __init__(self) -> None:
        self.changes = 0
        self.app = webhook_receiver.create_receiver(SECRET, NAME, self._report_change)

    def _report_change(self) -> None:
        self.changes += 1


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def body(name: str = NAME) -> bytes:
    """Return a delivery as MLflow writes it."""
    data = {"name": name, "alias": "champion", "version": "1"}
    return json.dumps({"entity": "model_version_alias", "action": "created", "data": data}).encode()


def signed(content: bytes, *, secret: str = SECRET, age: float = 0, **changed: str) -> dict[str, str]:
    """Return the headers of a delivery; `changed` ones are not what was signed."""
    timestamp = str(int(time.time() - age))
    headers = {
        webhook_receiver.DELIVERY_HEADER: "f3bac968",
        webhook_receiver.TIMESTAMP_HEADER: timestamp,
        webhook_receiver.SIGNATURE_HEADER: webhook_receiver.sign(secret, "f3bac968", timestamp, content),
    }
    return headers | {name.replace("_", "-"): value for name, value in changed.items()}


def send(receiver: Receiver, content: Any, headers: dict[str, str]) -> int:
    return TestClient(receiver.app).post("/any/path", content=content, headers=headers).status_code


@pytest.mark.parametrize("age", [0, webhook_receiver.MAX_AGE_SECONDS - 30, 30 - webhook_receiver.MAX_AGE_SECONDS])
def test_signed_and_recent_delivery_reports_a_change(receiver: Receiver, age: float) -> None:
    assert send(receiver, body(), signed(body(), age=age)) == 200
    assert receiver.changes == 1


#: Signed when they are sent: tests may take minutes.
FORGED: dict[str, Callable[[], dict[str, str]]] = {
    "no headers": dict,
    "another secret": lambda: signed(body(), secret="another"),
    "another body": lambda: signed(body("theirs")),
    "another id": lambda: signed(body(), X_MLflow_Delivery_Id="4ad2cb87"),
    "too old": lambda: signed(body(), age=webhook_receiver.MAX_AGE_SECONDS + 30),
    "from the future": lambda: signed(body(), age=-webhook_receiver.MAX_AGE_SECONDS - 30),
    "old and called new": lambda: signed(body(), age=600, X_MLflow_Timestamp=str(int(time.time()))),
    "no number for a time": lambda: signed(body(), X_MLflow_Timestamp="now"),
    "long number for a time": lambda: signed(body(), X_MLflow_Timestamp="1" * 5000),
    "no signature": lambda: signed(body(), X_MLflow_Signature=""),
    "signature of another version": lambda: signed(body(), X_MLflow_Signature="v2,AAAA"),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_delivery_that_is_not_signed_or_not_recent_is_rejected(
    receiver: Receiver, forged: Callable[[], dict[str, str]]
) -> None:
    assert send(receiver, body(), forged()) == 401
    assert receiver.changes == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"data": {}}', b'{"data": 1}', b"\xff", b"[" * 100_000])
def test_signed_body_that_is_no_delivery_is_rejected(receiver: Receiver, content: bytes) -> None:
    assert send(receiver, content, signed(content)) == 400
    assert receiver.changes == 0


def test_delivery_about_another_model_is_accepted_and_ignored(receiver: Receiver) -> None:
    assert send(receiver, body("theirs"), signed(body("theirs"))) == 200
    assert receiver.changes == 0


def test_huge_body_is_not_read_to_its_end(receiver: Receiver) -> None:
    chunks = iter([b" " * 100_000] * 1000)
    assert trickled(receiver, chunks) == 413
    assert len(list(chunks)) > 900


def test_caller_who_hangs_up_or_sends_too_slowly_is_disconnected(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trickled(receiver, iter([b"{"])) == 408
    monkeypatch.setattr(webhook_receiver, "BODY_SECONDS", 0.01)
    assert trickled(receiver, iter([b"{", None])) == 408


def trickled(receiver: Receiver, chunks: Iterator[bytes | None]) -> int:
    """Send chunks one by one, None for silence, hang up after the last, and return the status."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        try:
            chunk = next(chunks)
        except StopIteration:
            return {"type": "http.disconnect"}
        if chunk is None:
            await asyncio.sleep(100)
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b"", "root_path": ""}
    asyncio.run(receiver.app(scope, receive, send))
    return int(sent[0]["status"])
