"""Health, readiness and metrics of the stream on a port of their own: `/livez`, `/readyz`, `/metrics`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class _Server(uvicorn.Server):
    """A server within an event loop that handles signals itself."""

    @contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@asynccontextmanager
async def answer(bound: socket.socket, problem: Callable[[], str]) -> AsyncIterator[None]:
    """Answer at a socket while the block runs; `problem` returns why the stream is not ready, "" if it is."""

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})  # from the event loop that scores: if it hangs, there is no answer

    async def ready(request: Request) -> Response:
        text = problem()
        return JSONResponse({"ready": not text, "problem": text}, 503 if text else 200)

    async def metrics(request: Request) -> Response:
        return Response(await asyncio.to_thread(generate_latest), media_type=CONTENT_TYPE_LATEST)

    routes = [Route("/livez", live), Route("/readyz", ready), Route("/metrics", metrics)]
    server = _Server(uvicorn.Config(Starlette(routes=routes), lifespan="off", log_config=None, access_log=False))
    task = asyncio.create_task(server.serve([bound]))
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        await task
