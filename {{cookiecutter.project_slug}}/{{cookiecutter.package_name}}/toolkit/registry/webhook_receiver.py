"""Receiving MLflow's registry webhooks: a delivery that is signed, recent and about our model reports a change.

A delivery only says that something changed; its receiver then reads the registry. So a delivery that is lost, repeated
or replayed does no harm, and what MLflow does not deliver, such as tags of the model, is found by polling.
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

SIGNATURE_HEADER, TIMESTAMP_HEADER = "X-MLflow-Signature", "X-MLflow-Timestamp"
DELIVERY_HEADER = "X-MLflow-Delivery-Id"
#: Seconds by which a delivery's timestamp may differ from this machine's clock.
MAX_AGE_SECONDS = 300
#: The longest tag that MLflow takes, 100,000 characters, fits when each is escaped.
MAX_BYTES = 1_500_000
#: Seconds that a body may take to arrive.
BODY_SECONDS = 5
#: Connections at a time; the server rejects more with 503, and MLflow tries again.
MAX_CONNECTIONS = 32


def sign(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    """Return the signature that MLflow gives a delivery: HMAC-SHA256, in base64, after the scheme's version."""
    signed = f"{delivery}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raise `RejectedError` (401) unless a delivery is signed with a secret, within `MAX_AGE_SECONDS` of `now`.

    `now` is in seconds since 1970.
    """
    delivery, timestamp = headers.get(DELIVERY_HEADER, ""), headers.get(TIMESTAMP_HEADER, "")
    signature = headers.get(SIGNATURE_HEADER, "")
    if not (timestamp.isascii() and timestamp.isdigit() and abs(now - int(timestamp[:20])) <= MAX_AGE_SECONDS):
        raise RejectedError(
            401, f"{TIMESTAMP_HEADER} is missing, or more than {MAX_AGE_SECONDS} seconds from this clock"
        )
    if not hmac.compare_digest(signature.encode(), sign(secret, delivery, timestamp, body).encode()):
        raise RejectedError(401, f"{SIGNATURE_HEADER} does not fit this delivery and WEBHOOK_SECRET")


def model_of(body: bytes) -> str:
    """Return the name of the model that a delivery is about; `RejectedError` (400) if it has none."""
    try:
        return str(json.loads(body)["data"]["name"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise RejectedError(400, "a delivery is JSON with the model's name in data.name") from None


def create_receiver(secret: str, model: str, report_change: Callable[[], object]) -> Starlette:
    """Return an application that calls `report_change` for each valid delivery about a model, whatever the path."""

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
            report_change()
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
def run_in_thread(app: Starlette, bound: socket) -> Iterator[None]:
    """Serve an application on a bound socket until the block ends."""
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=BODY_SECONDS + 1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],), name="webhook", daemon=True)
    # Here, and not when the thread gets to it: a delivery that comes before waits, and is not refused.
    bound.listen()
    thread.start()
    try:
        yield
    finally:
        # An event loop that still runs while the interpreter ends can crash it.
        server.should_exit = True
        thread.join()
