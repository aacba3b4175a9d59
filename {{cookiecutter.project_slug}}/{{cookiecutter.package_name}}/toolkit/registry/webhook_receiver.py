"""MLflow's registry webhooks: a delivery that is signed, fresh and about our model wakes who waits for a change.

A delivery says that something changed; what is to be served is asked of the registry then. So one that is lost, doubled
or sent again does no harm, and what MLflow does not deliver, such as tags of the model, is found by polling.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from socket import socket

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..common.errors import RejectedError

SIGNATURE, TIMESTAMP, DELIVERY = "X-MLflow-Signature", "X-MLflow-Timestamp", "X-MLflow-Delivery-Id"
#: Seconds that a delivery's timestamp may be away from this machine's clock.
FRESH_SECONDS = 300
#: The longest tag that MLflow takes, 100,000 characters, fits when each is escaped.
MAX_BYTES = 1_500_000
#: Seconds that a body may take to arrive.
BODY_SECONDS = 5
#: Connections at a time; MLflow tries again where it is refused with 503.
CONNECTIONS = 32


def signature(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    """Return how MLflow signs a delivery."""
    signed = f"{delivery}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raise `RejectedError` (401) unless a delivery is signed with a secret, at most minutes ago."""
    delivery, timestamp, given = (headers.get(name, "") for name in (DELIVERY, TIMESTAMP, SIGNATURE))
    if not (timestamp.isascii() and timestamp.isdigit() and abs(now - int(timestamp[:20])) <= FRESH_SECONDS):
        raise RejectedError(401, f"{TIMESTAMP} is not of the last {FRESH_SECONDS} seconds")
    if not hmac.compare_digest(given.encode(), signature(secret, delivery, timestamp, body).encode()):
        raise RejectedError(401, f"{SIGNATURE} is not that of this delivery under our secret")


def model_of(body: bytes) -> str:
    """Return the name of the model that a delivery is about; `RejectedError` (400) if it does not say."""
    try:
        return str(json.loads(body)["data"]["name"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise RejectedError(400, "a delivery is JSON with the name of a model in 'data'") from None


def receiver(secret: str, model: str, wake: Callable[[], object]) -> Starlette:
    """Return an application that calls `wake` at each good delivery about a model, whatever the path."""

    async def receive(request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
            verify(secret, request.headers, body, time.time())
            name = model_of(body)
        except RejectedError as error:
            return JSONResponse({"error": str(error)}, error.status)
        except (TimeoutError, ClientDisconnect):
            return JSONResponse({"error": f"the body did not arrive within {BODY_SECONDS} seconds"}, 408)
        if name == model:
            wake()
        return JSONResponse({"model": name, "ours": name == model})

    return Starlette(routes=[Route("/{path:path}", receive, methods=["POST"])])


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise RejectedError(413, f"a delivery has at most {MAX_BYTES} bytes")
    return bytes(body)


@contextmanager
def serving(app: Starlette, bound: socket) -> Iterator[None]:
    """Serve an application on a bound socket, in a thread, until the block ends."""
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=BODY_SECONDS + 1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],), name="webhook", daemon=True)
    thread.start()
    try:
        yield
    finally:
        # An event loop that still runs while the interpreter ends can crash it.
        server.should_exit = True
        thread.join()
