"""More requests than the service can bear."""

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.serving import app, explain_route
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.protocols import mlflow_scoring
from titanic_survival.toolkit.serving.scoring import Scorer

LIMIT = 5


@pytest.fixture
def scorer(served: Path) -> Scorer:
    live = LiveRelease(served)
    live.load()
    return Scorer(live, Limits(max_rows=10, max_bytes=100_000, max_waiting=LIMIT))


def together(*answers: Awaitable[tuple[int, bytes]]) -> list[int]:
    async def wait() -> list[tuple[int, bytes]]:
        return await asyncio.gather(*answers)

    return [status for status, _ in asyncio.run(wait())]


def test_requests_beyond_the_limit_are_rejected_at_once_and_the_others_answered(
    scorer: Scorer, rows: list[dict[str, Any]]
) -> None:
    body = json.dumps(rows[:1]).encode()
    assert together(*(scorer.answer(body) for _ in range(3 * LIMIT))) == [200] * LIMIT + [429] * 2 * LIMIT
    assert together(*(scorer.answer(body) for _ in range(LIMIT))) == [200] * LIMIT


def test_rejected_requests_leave_their_place(scorer: Scorer) -> None:
    for _ in range(3):
        assert together(*(scorer.answer(b"{") for _ in range(LIMIT))) == [400] * LIMIT
        assert together(*(scorer.answer(b"[]", "unknown") for _ in range(LIMIT))) == [404] * LIMIT


def test_explanations_do_not_queue_without_end(scorer: Scorer, rows: list[dict[str, Any]]) -> None:
    route = explain_route.ExplainRoute(scorer.live)
    body, limit = json.dumps(rows[:1]).encode(), explain_route.MAX_WAITING
    assert together(*(route.answer(body, "champion") for _ in range(limit + 3))) == [200] * limit + [429] * 3
    assert together(route.answer(body, "champion")) == [200]


def test_overloaded_service_says_when_to_come_again(scorer: Scorer, tmp_path: Path) -> None:
    routes = app.Routes(scorer, LogFile(tmp_path, "feedback", 0), title="", description="")
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"[]"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
        scorer._waiting = LIMIT
        await app.ScoringMiddleware(routes._predict, routes)(scope, receive, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 429
    assert dict(sent[0]["headers"])[b"retry-after"] == b"1"
    assert "MAX_WAITING" in json.loads(sent[1]["body"])["error"]
    status, content = asyncio.run(scorer.answer(b"{}", codec=mlflow_scoring.codec_for("application/json")))
    assert (status, json.loads(content)["error_code"]) == (429, "REQUEST_LIMIT_EXCEEDED")
