"""The scoring routes: a small ASGI application that stands in front of the BentoML service.

It answers the hot routes itself and passes everything else on, so that they do not pay for layers that they do not use.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import orjson
from prometheus_client import Counter, Histogram
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .artifact import Artifact, as_records
from .errors import UserError
from .openapi import document
from .rows import InvalidRowsError
from .store import Release, Store

#: Problems listed in one answer; a body of a million bad rows needs no answer of the same size.
PROBLEMS_LISTED = 100

REQUESTS = Counter("model_requests", "Scoring requests by version and status code.", ["version", "code"])
ROWS = Counter("model_rows", "Rows scored, by version.", ["version"])
SECONDS = Histogram(
    "model_request_seconds",
    "Time to answer a scoring request, by version.",
    ["version"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)

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


class Scoring:
    """The versions of a release, loaded from the store, and the routes that score rows with them."""

    def __init__(self, store: Path, *, title: str, description: str, max_rows: int, max_bytes: int) -> None:
        self.title, self.description = title, description
        self._store = Store(store)
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._versions: dict[int, Artifact] = {}
        self.release: Release | None = None
        #: Adds the documentation of further endpoints; set by the service.
        self.further_paths: Callable[[], dict[str, Any]] = dict
        self.routes = Starlette(
            routes=[
                Route("/predict", self._predict, methods=["POST"]),
                Route("/versions/{version}/predict", self._predict, methods=["POST"]),
                Route("/model", self._model, methods=["GET"]),
                Route("/docs.json", self._docs, methods=["GET"]),
                Route("/", self._index, methods=["GET"]),
            ],
            exception_handlers={HTTPException: _error, InvalidRowsError: _invalid},
        )
        self._paths = {"/predict", "/model", "/docs.json", "/"}

    def load(self) -> None:
        """Load and prove every version of the release; `UserError` if there is none or one is not what it was."""
        release = self._store.release()
        if release is None:
            raise UserError(f"{self._store.root} holds no release to serve. Make one: make train && make deploy")
        versions = {number: self._store.load(number) for number in release.versions}
        for artifact in versions.values():
            artifact.prove()
        self._versions, self.release = versions, release

    def takes(self, path: str) -> bool:
        """Whether a path is one of the scoring routes."""
        return path in self._paths or path.startswith("/versions/")

    def artifact(self, reference: str | None = None) -> tuple[int, Artifact]:
        """Return a served version by number or alias, the champion by default; 404 names the versions there are."""
        if self.release is None:
            raise HTTPException(503, "no version is loaded yet")
        if reference is None:
            return self.release.champion, self._versions[self.release.champion]
        for number, aliases in self.release.versions.items():
            if reference in (str(number), *aliases):
                return number, self._versions[number]
        served = ", ".join(" = ".join([str(number), *aliases]) for number, aliases in self.release.versions.items())
        raise HTTPException(404, f"version {reference!r} is not served; there are: {served}")

    async def _predict(self, request: Request) -> Response:
        number, artifact = self.artifact(request.path_params.get("version"))
        start, code = time.perf_counter(), 200
        try:
            body = await self._body(request)
            rows, columns = artifact.parser.parse(body)
            if rows > self._max_rows:
                raise HTTPException(413, f"{rows} rows; at most {self._max_rows} fit in one request (MAX_ROWS)")
            # A Python model takes milliseconds and more; the event loop has other callers to answer meanwhile.
            predictions = await anyio.to_thread.run_sync(artifact.runtime.score, columns) if rows else {}
            records = as_records(predictions, artifact.contract) if rows else []
            for record in records:
                record["id"], record["version"] = uuid.uuid4().hex, number
            ROWS.labels(number).inc(rows)
            return _json(records)
        except (HTTPException, InvalidRowsError) as error:
            code = error.status_code if isinstance(error, HTTPException) else 400
            raise
        except Exception:
            code = 500
            raise
        finally:
            REQUESTS.labels(number, code).inc()
            SECONDS.labels(number).observe(time.perf_counter() - start)

    async def _body(self, request: Request) -> bytes:
        too_large = HTTPException(413, f"the body is larger than {self._max_bytes} bytes (MAX_BYTES)")
        if int(request.headers.get("content-length") or 0) > self._max_bytes:
            raise too_large
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._max_bytes:
                raise too_large
            chunks.append(chunk)
        return b"".join(chunks)

    async def _model(self, request: Request) -> Response:
        champion, artifact = self.artifact()
        assert self.release is not None
        keys = ("trained", "commit", "runtime", "runtime_note", "metrics", "data")
        return _json(
            {
                "model": self.release.model,
                "description": self.description,
                "champion": champion,
                "released": self.release.created,
                "versions": [
                    {"version": number, "aliases": aliases} | {key: self._versions[number].details[key] for key in keys}
                    for number, aliases in self.release.versions.items()
                ],
                "inputs": {column.name: column.expects for column in artifact.contract.row},
                "outputs": {column.name: column.expects for column in artifact.contract.prediction},
                "example": artifact.example.rows[:1],
            }
        )

    async def _docs(self, request: Request) -> Response:
        number, artifact = self.artifact()
        further = self.further_paths()
        return _json(document(artifact, number, title=self.title, description=self.description, further=further))

    async def _index(self, request: Request) -> Response:
        return HTMLResponse(SWAGGER.format(title=self.title))


class InFront:
    """ASGI middleware: the scoring routes in front, the rest of the service behind."""

    def __init__(self, app: ASGIApp, scoring: Scoring) -> None:
        self.app, self.scoring = app, scoring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        here = scope["type"] == "http" and self.scoring.takes(scope["path"])
        await (self.scoring.routes if here else self.app)(scope, receive, send)


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS), status, media_type="application/json")


async def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidRowsError)
    count = len(error.problems)
    content = {
        "error": f"{count} {'value breaks' if count == 1 else 'values break'} the contract",
        "problems": [problem._asdict() for problem in error.problems[:PROBLEMS_LISTED]],
    }
    try:
        return _json(content, 400)
    except TypeError:  # a whole number beyond 64 bits was sent, which orjson does not write
        return Response(json.dumps(content), 400, media_type="application/json")
