"""Answers under a path as well as at the root, so that an ingress needs no rule that rewrites paths."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from .asgi import send_response


class RootPathMiddleware:
    """ASGI middleware: takes a path such as `/titanic` from the front of the request's path; probes come without it."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root, self._prefix = app, root_path, f"{root_path}/"
        self._raw_length = len(root_path.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as at the root."""
        path = scope.get("path", "")
        if path.startswith(self._prefix):
            scope["path"] = path[len(self._root) :]
            if raw := scope.get("raw_path"):
                scope["raw_path"] = raw[self._raw_length :]
        elif path == self._root and scope["type"] == "http":
            # Swagger UI's own addresses are relative, so the page needs the slash.
            await send_response(send, 308, b"", (b"location", self._prefix.encode()))
            return
        await self._app(scope, receive, send)


def under(root_path: str, app: ASGIApp) -> ASGIApp:
    """Return an application that answers under a path too; the same one if there is no path."""
    return RootPathMiddleware(app, root_path) if root_path else app
