"""Large bodies: the event loop answers others meanwhile."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.serving.app import Routes
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.protocols import open_inference
from titanic_survival.toolkit.serving.scoring import Scorer

MAX_ROWS, MAX_BYTES = 10_000, 16_000_000
LONGEST_SECONDS = 0.05
#: On a busy machine a process waits for its turn; the service is held by what it does every time.
ATTEMPTS, CALLERS = 5, 2


@pytest.fixture(scope="module")
def routes(served: Path) -> Routes:
    live = LiveRelease(served)
    live.load()
    feedback = LogFile(served.parent / "log", "feedback", 10**9)
    return Routes(Scorer(live, Limits(MAX_ROWS, MAX_BYTES)), feedback, title="", description="")


async def post(routes: Routes, path: str, body: bytes, kind: bytes = b"application/json") -> tuple[int, bytes]:
    """Return status and content of the answer."""
    scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"content-type", kind)]}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    application = routes.resolve(scope)
    assert application
    await application(scope, receive, send)
    routes.bodies.release(scope)
    return sent[0]["status"], sent[1]["body"]


def statuses_and_longest_pause(routes: Routes, path: str, body: bytes) -> tuple[list[int], float]:
    """Return the statuses of equal requests at once, and the longest time for which the event loop did nothing else."""

    async def run() -> tuple[list[int], float]:
        longest, ended = 0.0, False

        async def watch() -> None:
            nonlocal longest
            before = time.perf_counter()
            while not ended:
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                longest, before = max(longest, now - before), now

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.01)
        answers = await asyncio.gather(*(post(routes, path, body) for _ in range(CALLERS)))
        ended = True
        await watching
        return [status for status, _ in answers], longest

    return asyncio.run(run())


def bodies(rows: list[dict[str, Any]], contract: Contract, model: str) -> dict[str, tuple[str, bytes, int]]:
    """Return path, body and status of large requests, by what they are."""
    many = (rows * (MAX_ROWS // len(rows) + 1))[:MAX_ROWS]
    infer = f"/v2/models/{model}/infer"
    nothing = b"[" + b"{}," * 5_300_000 + b"{}]"
    return {
        "rows": ("/predict", json.dumps(many).encode(), 200),
        "records": ("/invocations", json.dumps({"dataframe_records": many}).encode(), 200),
        "tensors": (infer, json.dumps(open_inference.request(many, contract)).encode(), 200),
        "empty rows": ("/predict", nothing, 413),
        "empty rows to explain": ("/explain", nothing, 413),
        "empty labels": ("/feedback", nothing, 413),
        "empty records": ("/invocations", b'{"dataframe_records": ' + nothing + b"}", 413),
        "numbers": (infer, b'{"inputs": [{"data": [' + b"1," * 7_900_000 + b"1]}]}", 400),
        "invalid labels": ("/feedback", json.dumps([{"id": "x" * 30}] * MAX_ROWS).encode(), 400),
    }


def test_the_event_loop_never_waits_for_a_large_body(
    routes: Routes, rows: list[dict[str, Any]], contract: Contract, subtests: Any
) -> None:
    for name, (path, body, status) in bodies(rows, contract, routes.scorer.live.snapshot.release.model).items():
        with subtests.test(name):
            shortest = 10.0
            for _ in range(ATTEMPTS):
                statuses, longest = statuses_and_longest_pause(routes, path, body)
                assert statuses == [status] * CALLERS
                shortest = min(shortest, longest)
                if shortest < LONGEST_SECONDS:
                    break
            assert shortest < LONGEST_SECONDS


def test_rows_of_a_large_body_are_predicted_and_violations_have_their_place(
    routes: Routes, rows: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    many = rows * (MAX_ROWS // len(rows))
    _, content = asyncio.run(post(routes, "/predict", json.dumps(many).encode()))
    assert len(json.loads(content)) == len(many)
    places = [7, len(many) - 3]
    for place in places:
        many[place] = {"unknown": 1}
    status, content = asyncio.run(post(routes, "/predict", json.dumps(many).encode()))
    assert status == 400
    assert sorted({problem["row"] for problem in json.loads(content)["problems"]}) == places
