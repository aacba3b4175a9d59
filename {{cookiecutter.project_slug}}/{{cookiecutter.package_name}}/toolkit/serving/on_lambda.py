"""The scoring routes on AWS Lambda: events of API Gateway (HTTP API) and of function URLs become requests.

A function is frozen between two events and ends without notice. So nothing runs beside a request: what a request adds
to the metrics is counted before it is answered, and there are no logs of predictions and feedback.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from ..common.errors import missing_library
from ..monitoring.recorder import Recorder
from .app import Routes
from .errors import message_json

EXTRA = "lambda"
#: What needs files that outlive a request.
WITHOUT = ("/feedback",)


class LambdaApplication:
    """The scoring routes and Swagger UI, without BentoML: its import alone takes longer than a cold start may."""

    def __init__(self, routes: Routes, recorder: Recorder) -> None:
        self._routes, self._recorder = routes, recorder
        self._static = _swagger_files()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and count it."""
        try:
            await self._application(scope)(scope, receive, send)
        finally:
            self._routes.bodies.release(scope)
        self._recorder.drain()

    def _application(self, scope: Scope) -> ASGIApp:
        path = scope["path"]
        if self._static and path.startswith("/static_content/"):
            scope["path"] = path.removeprefix("/static_content")
            return self._static
        if path == "/livez":
            return Response()
        found = None if path.rstrip("/") in WITHOUT else self._routes.resolve(scope)
        message = f"{scope['method']} {path}: not served on Lambda"
        return found or Response(message_json(message), 404, media_type="application/json")


def run(application: ASGIApp) -> None:
    """Ask Lambda for events, and answer them, until the function ends."""
    global _adapter
    try:
        mangum, runtime = import_module("mangum"), import_module("awslambdaric.__main__")
    except ModuleNotFoundError as error:
        raise missing_library(error, EXTRA) from error
    # Binary is base64 in an event; Mangum tells it by its content type.
    _adapter = mangum.Mangum(application, lifespan="off")
    runtime.main(["", f"{__name__}.answer"])


#: Lambda's client imports its handler by name, so the adapter is kept here.
_adapter: Any = None


def answer(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer an event."""
    return cast(dict[str, Any], _adapter(event, context))


def _swagger_files() -> StaticFiles | None:
    """Return the files of Swagger UI in BentoML, found without importing it."""
    spec = find_spec("bentoml")
    folder = Path(spec.origin).parent / "_internal/server/static_content" if spec and spec.origin else None
    return StaticFiles(directory=folder) if folder and folder.is_dir() else None
