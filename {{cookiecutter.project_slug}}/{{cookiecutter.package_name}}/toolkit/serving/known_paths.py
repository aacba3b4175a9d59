"""Whether BentoML has a route for a path.

It keeps metrics for each path that it is asked for, also for one that is 404: a caller could fill memory and disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Scope

#: BentoML's folder of static files, and what Swagger UI needs of it.
STATIC = "/static_content"
STATIC_FILES = {f"{STATIC}/swagger-ui.css", f"{STATIC}/swagger-ui-bundle.js"}


def path_check(app: ASGIApp) -> Callable[[Scope], bool]:
    """Return a function that says whether an application has a route for a request.

    Every request passes where the routes cannot be seen: below BentoML's own middlewares, which have counted it then.
    """
    routes: list[Any] | None = getattr(app, "routes", None)
    if routes is None:
        return lambda scope: True

    def has_route(scope: Scope) -> bool:
        path = scope.get("path", "")
        return path in STATIC_FILES or any(
            not (isinstance(route, Mount) and route.path == STATIC) and route.matches(scope)[0] != Match.NONE
            for route in routes
        )

    return has_route
