"""The scoring routes: a small ASGI application that stands in front of the BentoML service.

It answers the hot routes itself and passes everything else on, so that they do not pay for layers that they do not use.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .openapi import document
from .scoring import RefusedError, Scoring, refusal

SWAGGER = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title><link rel="stylesheet" href="./static_content/swagger-ui.css"></head>
<body>
<div id="ui"></div>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({{url: "./docs.json", dom_id: "#ui", tryItOutEnabled: true}})</script>
</body>
</html>
"""
JSON = [(b"content-type", b"application/json")]


class Routes:
    """The routes that are not BentoML's own; `further` returns the OpenAPI document of what stands behind them."""

    def __init__(
        self, scoring: Scoring, *, title: str, description: str, further: Callable[[], dict[str, Any]] = dict
    ) -> None:
        self.scoring, self.title, self.description, self.further = scoring, title, description, further
        self._slow = Starlette(
            routes=[
                Route("/model", self._model, methods=["GET"]),
                Route("/docs.json", self._docs, methods=["GET"]),
                Route("/", self._index, methods=["GET"]),
            ],
            exception_handlers={RefusedError: _refused},
        )
        self._paths = {"/model", "/docs.json", "/"}

    def find(self, scope: Scope) -> ASGIApp | None:
        """Return what answers a request, None if it is not one of these routes."""
        if scope["type"] != "http":
            return None
        path: str = scope["path"]
        if path == "/predict" or (path.startswith("/versions/") and path.endswith("/predict")):
            return self._predict
        return self._slow if path in self._paths else None

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["method"] != "POST":
            await _send(send, 405, refusal(f"{path} takes POST, with a JSON list of rows"), allow=b"POST")
            return
        body = await _read(scope, receive, self.scoring.max_bytes)
        if body is None:
            limit = self.scoring.max_bytes
            await _send(send, 413, refusal(f"the body is larger than {limit} bytes (MAX_BYTES)"))
            return
        reference = None if path == "/predict" else path[len("/versions/") : -len("/predict")]
        await _send(send, *await self.scoring.answer(body, reference))

    async def _model(self, request: Request) -> Response:
        champion = self.scoring.find()
        release = self.scoring.release
        assert release is not None
        keys = ("trained", "commit", "runtime", "runtime_note", "metrics", "data")
        versions = [
            {"version": number, "aliases": release.versions[number]}
            | {key: served.artifact.details[key] for key in keys}
            for number, served in self.scoring.versions.items()
        ]
        contract = champion.artifact.contract
        content = {
            "model": release.model,
            "description": self.description,
            "champion": release.champion,
            "released": release.created,
            "versions": versions,
            "inputs": {column.name: column.expects for column in contract.row},
            "outputs": {column.name: column.expects for column in contract.prediction},
            "example": champion.artifact.example.rows[:1],
        }
        return Response(orjson.dumps(content), media_type="application/json")

    async def _docs(self, request: Request) -> Response:
        champion = self.scoring.find()
        content = document(
            champion.artifact, champion.number, title=self.title, description=self.description, further=self.further()
        )
        return Response(orjson.dumps(content), media_type="application/json")

    async def _index(self, request: Request) -> Response:
        return HTMLResponse(SWAGGER.format(title=escape(self.title)))


class InFront:
    """ASGI middleware: the scoring routes in front, the rest of the service behind."""

    def __init__(self, app: ASGIApp, routes: Routes) -> None:
        self.app, self.routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        await (self.routes.find(scope) or self.app)(scope, receive, send)


async def _read(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """Return the body of a request, None as soon as it is known to be larger than the limit."""
    announced = dict(scope["headers"]).get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        return None
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        chunks, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                return None
            chunks.append(message.get("body", b""))
        return b"".join(chunks)
    return body if len(body) <= limit else None


async def _send(send: Send, status: int, content: bytes, allow: bytes = b"") -> None:
    headers = [*JSON, (b"content-length", b"%d" % len(content))]
    if allow:
        headers.append((b"allow", allow))
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": content})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return Response(refusal(str(error)), error.status, media_type="application/json")
