"""Servers that do nothing: what the frameworks cost by themselves."""

import os
from typing import Any

os.environ.setdefault("OTEL_SDK_DISABLED", "true")

import bentoml


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request with an empty list."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"[]"})


@bentoml.service(logging={"access": {"enabled": False}})
class NoOp:
    """A BentoML service with one method."""

    @bentoml.api
    async def noop(self, rows: list[dict[str, Any]], /) -> list[int]:
        """Return an empty list."""
        return []
