"""The scoring routes: a small ASGI application that stands in front of the BentoML service.

It answers the hot routes itself and passes everything else on, so that they do not pay for layers that they do not use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from html import escape
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..common.errors import RejectedError
from ..monitoring.prediction_log import LogFile
from .auth import Access
from .explanations import Explaining
from .feedback import Feedback
from .openapi import document
from .protocols import mlflow, open_inference
from .scoring import KEY_HEADER, PREDICT, Exchange, Scoring, refusal, refused

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
KEY = KEY_HEADER.encode()
JSON = b"application/json"


class Routes:
    """The routes that are not BentoML's own; `further` returns the OpenAPI document of what stands behind them."""

    def __init__(
        self,
        scoring: Scoring,
        feedback: LogFile,
        *,
        title: str,
        description: str,
        further: Callable[[], dict[str, Any]] = dict,
        access: Access | None = None,
    ) -> None:
        self.scoring, self.title, self.description, self.further = scoring, title, description, further
        self._access = access or Access(None)
        self._explaining = Explaining(scoring)
        self._feedback = Feedback(scoring, feedback)
        self._slow = Starlette(
            routes=[
                Route("/model", self._model, methods=["GET"]),
                Route("/readyz", self._ready, methods=["GET"]),
                Route("/docs.json", self._docs, methods=["GET"]),
                Route("/", self._index, methods=["GET"]),
                *mlflow.routes(scoring),
                *open_inference.routes(scoring, title),
            ],
            exception_handlers={RejectedError: _refused, HTTPException: _mistaken},
        )
        # Behind an ingress, the address to which a caller would be sent is not the one that they know.
        self._slow.router.redirect_slashes = False
        self._paths = {"/model", "/readyz", "/docs.json", "/", "/ping", "/health", "/version", "/v2"}

    def find(self, scope: Scope) -> ASGIApp | None:
        """Return what answers a request, None if it is not one of these routes."""
        if scope["type"] != "http":
            return None
        path: str = scope["path"]
        if path == "/predict" or (path.startswith("/versions/") and path.endswith("/predict")):
            return self._predict
        if path == "/explain" or (path.startswith("/versions/") and path.endswith("/explain")):
            return self._explain
        if path == "/feedback":
            return self._label
        if path == "/invocations":
            return self._invocations
        if open_inference.INFER.fullmatch(path):
            return self._infer
        return self._slow if path in self._paths or path.startswith("/v2/") else None

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._body(scope, receive, send)
        if body is None:
            return
        path = scope["path"]
        reference = None if path == "/predict" else path[len("/versions/") : -len("/predict")]
        await _send(send, *await self.scoring.answer(body, reference, PREDICT, _key(scope)))

    async def _invocations(self, scope: Scope, receive: Receive, send: Send) -> None:
        posted = scope["method"] == "POST"
        content_type = dict(scope["headers"]).get(b"content-type", b"") if posted else JSON
        try:
            exchange = mlflow.exchange(content_type.decode("latin-1"))
        except RejectedError as error:
            refused(PREDICT, error)
            await _send(send, error.status, str(error).encode(), kind=b"text/plain; charset=utf-8")
            return
        body = await self._body(scope, receive, send, exchange)
        if body is not None:
            await _send(send, *await self.scoring.answer(body, None, exchange, _key(scope)))

    async def _infer(self, scope: Scope, receive: Receive, send: Send) -> None:
        model, reference = open_inference.addressed(scope["path"])
        exchange = open_inference.Inference(model)
        try:
            open_inference.check_name(self.scoring, model)
        except RejectedError as error:
            await _send(send, *refused(exchange, error))
            return
        body = await self._body(scope, receive, send, exchange)
        if body is not None:
            await _send(send, *await self.scoring.answer(body, reference, exchange, _key(scope)))

    async def _explain(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._body(scope, receive, send)
        if body is None:
            return
        path = scope["path"]
        reference = "champion" if path == "/explain" else path[len("/versions/") : -len("/explain")]
        await _send(send, *await self._explaining.answer(body, reference))

    async def _label(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._body(scope, receive, send)
        if body is not None:
            await _send(send, *await self._feedback.answer(body))

    async def _body(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange = PREDICT) -> bytes | None:
        """Return the body of a request for rows; None if that was answered with what is wrong with it."""
        if scope["method"] != "POST":
            with_what = ", with a JSON list" if exchange is PREDICT else ""
            error = RejectedError(405, f"{scope['path']} takes POST{with_what}")
            await _send(send, *refused(exchange, error), (b"allow", b"POST"))
            return None
        limit = self.scoring.max_bytes
        body = await _read(scope, receive, limit)
        if body is None:
            error = RejectedError(413, f"the body is larger than {limit} bytes (MAX_BYTES)")
            await _send(send, *refused(exchange, error))
        return body

    async def _model(self, request: Request) -> Response:
        champion = self.scoring.find("champion")
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
            "traffic": release.shares or {release.champion: 100},
            "shadows": release.shadows,
            "problem": self.scoring.problem,
            "versions": versions,
            "inputs": {column.name: column.expects for column in contract.row},
            "outputs": {column.name: column.expects for column in contract.prediction},
            "example": champion.artifact.example.rows[:1],
        }
        return Response(orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS), media_type="application/json")

    async def _ready(self, request: Request) -> Response:
        self.scoring.find("champion")
        # Ready all the same: what is served serves on, and no balancer is to take it out.
        content = {"ready": True, "problem": self.scoring.problem or self.scoring.behind}
        return Response(orjson.dumps(content), media_type="application/json")

    async def _docs(self, request: Request) -> Response:
        content = document(
            self.scoring.loaded,
            max_rows=self.scoring.max_rows,
            max_bytes=self.scoring.max_bytes,
            title=self.title,
            description=self.description,
            further=self.further(),
        )
        # BentoML's part has status codes as numbers.
        found = self._access.documented(content)
        return Response(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS), media_type="application/json")

    async def _index(self, request: Request) -> Response:
        return HTMLResponse(SWAGGER.format(title=escape(self.title)))


class InFront:
    """ASGI middleware: the scoring routes in front, the rest of the service behind."""

    def __init__(self, app: ASGIApp, routes: Routes) -> None:
        self.app, self.routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "lifespan":
            receive = self._ending(receive)
        elif scope.get("path") == "/metrics":
            await asyncio.to_thread(self.routes.scoring.observer.drain)
        await (self.routes.find(scope) or self.app)(scope, receive, send)

    def _ending(self, receive: Receive) -> Receive:
        """Count and log what still waits when the server ends."""

        async def end() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self.routes.scoring.observer.close)
            return message

        return end


def _key(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == KEY:
            return bytes(value)
    return b""


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


async def _send(send: Send, status: int, content: bytes, *more: tuple[bytes, bytes], kind: bytes = JSON) -> None:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(content)), *more]
    if status == 429:
        headers.append((b"retry-after", b"1"))
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": content})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RejectedError)
    return Response(refusal(str(error)), error.status, media_type="application/json")


async def _mistaken(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = f"{request.method} {request.url.path}: {error.detail}"
    return Response(refusal(reason), error.status_code, error.headers, "application/json")
