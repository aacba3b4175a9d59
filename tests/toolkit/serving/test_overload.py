"""More requests than the service can bear."""

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.serving import app, explanations, scoring
from titanic_survival.toolkit.serving.protocols import mlflow

LIMIT = 5


@pytest.fixture
def loaded(served: Path) -> scoring.Scoring:
    loaded = scoring.Scoring(served, max_rows=10, max_bytes=100_000, max_waiting=LIMIT)
    loaded.load()
    return loaded


def together(*answers: Awaitable[tuple[int, bytes]]) -> list[int]:
    async def wait() -> list[tuple[int, bytes]]:
        return await asyncio.gather(*answers)

    return [status for status, _ in asyncio.run(wait())]


def test_requests_beyond_the_limit_are_refused_at_once_and_the_others_answered(
    loaded: scoring.Scoring, rows: list[dict[str, Any]]
) -> None:
    body = json.dumps(rows[:1]).encode()
    assert together(*(loaded.answer(body) for _ in range(3 * LIMIT))) == [200] * LIMIT + [429] * 2 * LIMIT
    assert together(*(loaded.answer(body) for _ in range(LIMIT))) == [200] * LIMIT


def test_refused_requests_leave_their_place(loaded: scoring.Scoring) -> None:
    for _ in range(3):
        assert together(*(loaded.answer(b"{") for _ in range(LIMIT))) == [400] * LIMIT
        assert together(*(loaded.answer(b"[]", "unknown") for _ in range(LIMIT))) == [404] * LIMIT


def test_explanations_do_not_queue_without_end(loaded: scoring.Scoring, rows: list[dict[str, Any]]) -> None:
    explains = explanations.Explaining(loaded)
    body, limit = json.dumps(rows[:1]).encode(), explanations.MAX_WAITING
    assert together(*(explains.answer(body, "champion") for _ in range(limit + 3))) == [200] * limit + [429] * 3
    assert together(explains.answer(body, "champion")) == [200]


def test_overloaded_service_says_when_to_come_again(loaded: scoring.Scoring, tmp_path: Path) -> None:
    routes = app.Routes(loaded, LogFile(tmp_path, "feedback", 0), title="", description="")
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"[]"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
        loaded._waiting = LIMIT
        await app.InFront(routes._slow, routes)(scope, receive, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 429
    assert dict(sent[0]["headers"])[b"retry-after"] == b"1"
    assert "MAX_WAITING" in json.loads(sent[1]["body"])["error"]
    status, content = asyncio.run(loaded.answer(b"{}", exchange=mlflow.exchange("application/json")))
    assert (status, json.loads(content)["error_code"]) == (429, "REQUEST_LIMIT_EXCEEDED")
