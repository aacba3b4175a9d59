"""The guard: an ASGI middleware that lets nobody pass who may not call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from ...common.errors import RejectedError
from ...monitoring.metrics import REJECTED_REQUESTS
from ..errors import error_json

#: Set in the scope of a request that was let in: where two guards stand behind one another, one of them checks.
LET_IN = "let_in"
REASONS = {401: "credentials", 403: "permission", 503: "unverified"}
#: What a refused WebSocket is told: it breaks the service's policy.
POLICY = 1008


class Guard:
    """Asks each request for its credentials, but at paths that are exempt."""

    def __init__(
        self,
        app: ASGIApp,
        verify: Callable[[bytes], Awaitable[None]],
        exempts: Callable[[str], bool],
        schemes: tuple[str, ...],
    ) -> None:
        self._app, self._verify, self._exempts = app, verify, exempts
        self._challenges = [(b"www-authenticate", f'{scheme.title()} realm="model"'.encode()) for scheme in schemes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass; answer the rest."""
        kind = scope["type"]
        if kind == "lifespan" or LET_IN in scope or (kind == "http" and self._exempts(scope["path"])):
            await self._app(scope, receive, send)
            return
        try:
            await self._verify(_authorization(scope))
        except RejectedError as error:
            REJECTED_REQUESTS.labels(error.status, REASONS[error.status]).inc()
            if kind == "http":
                await self._refuse(error, send)
            else:
                await send({"type": "websocket.close", "code": POLICY, "reason": str(error)})
            return
        scope[LET_IN] = True
        await self._app(scope, receive, send)

    async def _refuse(self, error: RejectedError, send: Send) -> None:
        content = error_json(error)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        headers += self._challenges if error.status == 401 else []
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def _authorization(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return bytes(value)
    return b""
