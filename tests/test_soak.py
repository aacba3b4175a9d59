"""The soak test notices what it is there for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from benchmarks import soak

GOOD = soak.Kind("good", 70, "200", "/predict", b"[{}]", predictions=1)
MIX = [GOOD, soak.Kind("bad", 20, "400", "/bad", b"["), soak.Kind(soak.HUNG_UP, 10, soak.HUNG_UP, "/predict", b"[{}]")]
STEADY = [90.0, *[100.0] * (soak.ROUNDS - 2), 104.9]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def right(request: web.Request) -> web.StreamResponse:
    """Answer as the service would."""
    await request.read()
    return web.Response(status=400) if request.path == "/bad" else web.json_response([{"id": "1"}])


def soaked(handler: Handler) -> soak.Round:
    """Return what a thousand requests meet at a server."""

    async def serve() -> soak.Round:
        runner = web.ServerRunner(web.Server(handler))  # type: ignore[arg-type]
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        try:
            return await soak.send(f"http://{host}:{port}", MIX, count=1000, connections=8, seed=0)
        finally:
            await runner.cleanup()

    return asyncio.run(serve())


def test_right_responses_and_steady_memory_pass() -> None:
    found = soaked(right)
    assert found.outcomes.total() == 1000
    assert {name for name, _ in found.outcomes} == {kind.name for kind in MIX}
    assert len(found.answered) == 1000 - found.outcomes[soak.HUNG_UP, soak.HUNG_UP]
    assert soak.faults(MIX, [found], STEADY) == []
    assert "| good | 200 | 200 |" in soak.report(MIX, [found] * soak.ROUNDS, STEADY)


@pytest.mark.parametrize("harm", ["hangs up", "another status", "too few predictions"])
def test_one_lost_or_wrong_response_in_a_thousand_is_detected(harm: str) -> None:
    seen = 0

    async def spoilt(request: web.Request) -> Any:
        nonlocal seen
        answer = await right(request)
        seen += request.path == GOOD.path
        if seen != 500 or request.path != GOOD.path:
            return answer
        if harm == "hangs up":
            assert request.transport
            request.transport.abort()
        return web.Response(status=500) if harm == "another status" else web.json_response([])

    [fault] = soak.faults(MIX, [soaked(spoilt)], STEADY)
    assert fault.startswith("1 of 'good' met")


def test_memory_that_grows_after_the_warm_up_is_detected() -> None:
    nothing = soak.Round(Counter(), [], 1.0)
    [fault] = soak.faults(MIX, [nothing], [*STEADY[:-1], 105.0])
    assert fault.startswith("Memory grew by 5.0 %")


def test_failures_in_metrics_or_log_are_detected() -> None:
    harmless = 'model_requests_total{code="200",version="1"} 5.0\nmodel_requests_total{code="500",version="1"} 0.0\n'
    assert soak.complaints(harmless, "INFO") == []
    counted = 'model_shadow_requests_total{code="500",version="1"} 1.0'
    assert soak.complaints(counted, "Traceback (most recent call last):") == [
        counted,
        "The service's log holds a traceback.",
    ]
