"""The routes that describe the model: `GET /model`, `/readyz`, `/docs.json`, and Swagger UI at `/`."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ..common.errors import RejectedError
from ..common.names import CHAMPION
from ..live.live_release import LiveRelease
from .asgi import json_response
from .errors import error_json, message_json

#: Of a version's details, those that `/model` shows.
DETAILS = ("trained", "commit", "runtime", "runtime_note", "metrics", "data")
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


def info_routes(live: LiveRelease, title: str, description: str, document: Callable[[], dict[str, Any]]) -> list[Route]:
    """Return the routes; `document` returns the OpenAPI document of the current release."""

    async def model(request: Request) -> Response:
        return json_response(content(live, description))

    async def ready(request: Request) -> Response:
        live.snapshot.find(CHAMPION)  # 503 before a release is loaded
        # A problem is no reason for 503: the current release stays in service, and a balancer must not take it out.
        return json_response({"ready": True, "problem": live.problem or live.sync_problem})

    async def docs(request: Request) -> Response:
        return json_response(document())

    async def index(request: Request) -> Response:
        return HTMLResponse(SWAGGER.format(title=escape(title)))

    return [Route("/model", model), Route("/readyz", ready), Route("/docs.json", docs), Route("/", index)]


def content(live: LiveRelease, description: str) -> dict[str, Any]:
    """Return what `/model` answers: the current release, its versions, and the champion's contract."""
    release, versions = live.snapshot
    champion = versions[release.champion].artifact
    return {
        "model": release.model,
        "description": description,
        "champion": release.champion,
        "released": release.created,
        "traffic": release.weights or {release.champion: 100},
        "shadows": release.shadows,
        "warm": [live.warm.number] if live.warm else [],
        "problem": live.problem,
        "versions": [
            {"version": number, "aliases": release.versions[number], "digest": release.digests.get(number, "")}
            | {key: version.artifact.details[key] for key in DETAILS}
            | version.features
            | {"threshold": version.artifact.contract.threshold}
            for number, version in versions.items()
        ],
        "inputs": {field.name: field.expects for field in champion.contract.row},
        "outputs": {field.name: field.expects for field in champion.contract.prediction},
        "labels": [label.name for label in champion.contract.labels],
        "classes": list(champion.contract.classes),
        "threshold": champion.contract.threshold,
        "example": champion.example.rows[:1],
    }


def json_application(routes: list[Route]) -> Starlette:
    """Return an application whose errors are JSON too."""
    application = Starlette(
        routes=routes, exception_handlers={RejectedError: _answer_error, HTTPException: _answer_http_error}
    )
    # A redirect would name this process' address, which callers behind an ingress cannot reach.
    application.router.redirect_slashes = False
    return application


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RejectedError)
    return Response(error_json(error), error.status, media_type="application/json")


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return Response(message_json(message), error.status_code, error.headers, "application/json")
