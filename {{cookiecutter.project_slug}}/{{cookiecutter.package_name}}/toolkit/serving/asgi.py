"""Requests and responses. The hot routes use bare ASGI: a framework's objects would cost more than scoring."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Message, Scope, Send

JSON = b"application/json"
#: With traffic weights, requests with the same key go to the same version.
KEY_HEADER = "x-key"


def header(scope: Scope, name: bytes) -> bytes:
    """Return the value of a request's header, b"" without it; `name` is in small letters."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


async def send_response(
    send: Send, status: int, content: bytes, *headers: tuple[bytes, bytes], content_type: bytes = JSON
) -> None:
    """Send a response; one of overload (429) tells the caller to wait a second, one of a timeout (408) is the last."""
    sent = [(b"content-type", content_type), (b"content-length", b"%d" % len(content)), *headers]
    if status == 429:
        sent.append((b"retry-after", b"1"))
    elif status == 408:
        sent.append((b"connection", b"close"))
    start: Message = {"type": "http.response.start", "status": status, "headers": sent}
    await send(start)
    await send({"type": "http.response.body", "body": content})


def json_response(content: dict[str, Any] | list[Any]) -> Response:
    """Return a response of Starlette, for the routes that are not hot."""
    # Traffic weights and BentoML's part of the OpenAPI document have numbers as keys.
    return Response(orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS), media_type="application/json")
