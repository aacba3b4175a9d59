"""The scoring routes: a small ASGI application before the BentoML service.

It answers them itself, since BentoML's layers cost more than scoring, and passes the other requests on to BentoML's
routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..common.errors import RejectedError
from ..common.names import CHAMPION
from ..monitoring.prediction_log import LogFile
from .asgi import JSON, KEY_HEADER, header, send_response
from .auth.policy import AccessPolicy
from .content_types import check_json, check_origin
from .explain_route import ExplainRoute
from .feedback_route import FeedbackRoute
from .info_routes import info_routes, json_application
from .known_paths import path_check
from .limits import READ_SECONDS
from .openapi import document
from .protocols import mlflow_scoring, open_inference
from .protocols.codec import Codec, reject
from .protocols.predict import JSON_CODEC
from .request_body import HELD, BodyReader, DisconnectedError, replay, without_encoding
from .scoring import Scorer

KEY = KEY_HEADER.encode()
#: The content type of tensors in binary form.
OCTETS = "application/octet-stream"
#: Path parameters of a fixed path: none.
NO_PARAMETERS: dict[str, str] = {}


class Routes:
    """The scoring routes, in one table.

    `bentoml_document` returns the OpenAPI document of BentoML's routes.
    """

    def __init__(
        self,
        scorer: Scorer,
        feedback: LogFile,
        *,
        title: str,
        description: str,
        bentoml_document: Callable[[], dict[str, Any]] = dict,
        access: AccessPolicy | None = None,
    ) -> None:
        self.scorer, self._live, self._limits = scorer, scorer.live, scorer.limits
        self.bodies = BodyReader(scorer.limits)
        self._explain_route = ExplainRoute(scorer.live)
        self._feedback_route = FeedbackRoute(scorer.live, scorer.limits.max_rows, feedback)
        access = access or AccessPolicy(None)

        def openapi() -> dict[str, Any]:
            content = document(
                self._live.snapshot,
                self._limits,
                title=title,
                description=description,
                bentoml_document=bentoml_document(),
            )
            return access.add_to_openapi(content)

        starlette_routes = [
            *info_routes(self._live, title, description, openapi),
            *mlflow_scoring.routes(self._live),
            *open_inference.routes(self._live, title),
        ]
        starlette = json_application(starlette_routes)
        table: dict[str, ASGIApp] = {
            "/predict": self._predict,
            "/explain": self._explain,
            "/feedback": self._feedback,
            "/invocations": self._invocations,
            "/versions/{version:path}/predict": self._predict,
            "/versions/{version:path}/explain": self._explain,
            "/v2/models/{model}/infer": self._infer,
            "/v2/models/{model}/versions/{version}/infer": self._infer,
            **{route.path: starlette for route in starlette_routes},
            # Last: what the protocol does not have is a 404 in JSON, not BentoML's.
            "/v2/{path:path}": starlette,
        }
        # Fixed paths cost one look-up, the others a match each: the hottest path is fixed.
        self._fixed = {path: application for path, application in table.items() if "{" not in path}
        self._patterns = [(compile_path(path)[0], application) for path, application in table.items() if "{" in path]

    def resolve(self, scope: Scope) -> ASGIApp | None:
        """Return the application that answers a request, None if no route of the table does."""
        return (self._fixed.get(scope["path"]) or self._match(scope)) if scope["type"] == "http" else None

    def _match(self, scope: Scope) -> ASGIApp | None:
        path: str = scope["path"]
        if path.endswith("/"):  # as other servers of the protocols do, without a redirect
            path = path[:-1]
            if application := self._fixed.get(path):
                scope["path"] = path
                return application
        for pattern, application in self._patterns:
            if match := pattern.match(path):
                scope["path"], scope["path_params"] = path, match.groupdict()
                return application
        return None

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._body(scope, receive, send)
        if body is not None:
            reference = scope.get("path_params", NO_PARAMETERS).get("version")
            await send_response(send, *await self.scorer.answer(body, reference, JSON_CODEC, header(scope, KEY)))

    async def _invocations(self, scope: Scope, receive: Receive, send: Send) -> None:
        content_type = header(scope, b"content-type") if scope["method"] == "POST" else JSON
        try:
            codec = mlflow_scoring.codec_for(content_type.decode("latin-1"), strict=self._limits.strict)
        except RejectedError as error:
            status, _ = reject(JSON_CODEC, error)
            await send_response(send, status, str(error).encode(), content_type=b"text/plain; charset=utf-8")
            return
        body = await self._body(scope, receive, send, codec)
        if body is not None:
            reference = mlflow_scoring.version_wanted(header(scope, mlflow_scoring.ATTRIBUTES))
            await send_response(send, *await self.scorer.answer(body, reference, codec, header(scope, KEY)))

    async def _infer(self, scope: Scope, receive: Receive, send: Send) -> None:
        parameters = scope["path_params"]
        json_bytes = header(scope, open_inference.JSON_BYTES_HEADER).decode("latin-1")
        codec = open_inference.OpenInferenceCodec(parameters["model"], json_bytes)
        try:
            check_json(scope, but=(OCTETS,))
            open_inference.check_name(self._live, parameters["model"])
        except RejectedError as error:
            await send_response(send, *reject(codec, error))
            return
        body = await self._body(scope, receive, send, codec)
        if body is not None:
            answer = await self.scorer.answer(body, parameters.get("version"), codec, header(scope, KEY))
            if size := codec.answer_json_bytes:
                more = (open_inference.JSON_BYTES_HEADER, b"%d" % size)
                await send_response(send, *answer, more, content_type=OCTETS.encode())
            else:
                await send_response(send, *answer)

    async def _explain(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._body(scope, receive, send)
        if body is not None:
            reference = scope.get("path_params", NO_PARAMETERS).get("version", CHAMPION)
            await send_response(send, *await self._explain_route.answer(body, reference))

    async def _feedback(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._body(scope, receive, send)
        if body is not None:
            await send_response(send, *await self._feedback_route.answer(body))

    async def _body(self, scope: Scope, receive: Receive, send: Send, codec: Codec = JSON_CODEC) -> bytes | None:
        """Return the body of a request; None if the request was rejected for its method or body."""
        if scope["method"] != "POST":
            with_list = ", with a JSON list" if codec is JSON_CODEC else ""
            error = RejectedError(405, f"{scope['path']} takes POST{with_list}")
            await send_response(send, *reject(codec, error), (b"allow", b"POST"))
            return None
        try:
            if codec is JSON_CODEC:
                check_json(scope)
            return await self.bodies.read(scope, receive)
        except RejectedError as error:
            await send_response(send, *reject(codec, error))
            return None


class ScoringMiddleware:
    """ASGI middleware: answers the scoring routes, and passes the other requests on to BentoML's routes."""

    def __init__(self, app: ASGIApp, routes: Routes) -> None:
        self.app, self.routes = app, routes
        self._has_route = path_check(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "lifespan":
            scope.get("state", {})[READ_SECONDS] = self.routes.scorer.limits.read_seconds
            receive = self._close_at_shutdown(receive)
        elif scope.get("path") == "/metrics":
            await asyncio.to_thread(self.routes.scorer.recorder.drain)
        application = self.routes.resolve(scope) or self._pass_on
        try:
            await application(scope, receive, send)
        except DisconnectedError:
            pass
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            # The server ends, and has waited as long as it may; if an answer has begun, it ends here.
            with suppress(RuntimeError):
                await send_response(send, *reject(JSON_CODEC, RejectedError(503, "the service ends; try again")))
        finally:
            if HELD in scope:
                self.routes.bodies.release(scope)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                if not self._has_route(scope):
                    raise RejectedError(404, "there is no such path; GET / shows those that there are")
                if scope["method"] not in ("GET", "HEAD"):
                    check_origin(scope)
                    body = await self.routes.bodies.read(scope, receive)
                    receive = replay(body, receive)
                    if header(scope, b"content-encoding"):
                        without_encoding(scope, body)
            except RejectedError as error:
                await send_response(send, *reject(JSON_CODEC, error))
                return
        await self.app(scope, receive, send)

    def _close_at_shutdown(self, receive: Receive) -> Receive:
        """Return a `receive` that counts and logs what the recorder still has when the server ends."""

        async def receive_and_close() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self.routes.scorer.recorder.close)
            return message

        return receive_and_close
