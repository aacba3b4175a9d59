"""The ASGI middleware that rejects requests without valid credentials."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from ...common.errors import RejectedError
from ...monitoring.metrics import REJECTED_REQUESTS
from ..asgi import header, send_response
from ..errors import AUTH_METRIC_REASONS, error_json

#: Marks the scope of an authorized request: where the middleware stands twice in a row, it checks once.
AUTHORIZED = "authorized"
#: The code that closes a rejected WebSocket: policy violation (RFC 6455, 7.4.1).
POLICY_VIOLATION = 1008


class AuthMiddleware:
    """Checks the credentials of each request, except at exempt paths.

    `verify` takes an Authorization header and raises `RejectedError`; `schemes` are offered with a 401.
    """

    def __init__(
        self,
        app: ASGIApp,
        verify: Callable[[bytes], Awaitable[None]],
        is_exempt: Callable[[str], bool],
        schemes: tuple[str, ...],
    ) -> None:
        self._app, self._verify, self._is_exempt = app, verify, is_exempt
        self._challenges = [(b"www-authenticate", f'{scheme.title()} realm="model"'.encode()) for scheme in schemes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass authorized requests on; reject the others."""
        kind = scope["type"]
        if kind == "lifespan" or AUTHORIZED in scope or (kind == "http" and self._is_exempt(scope["path"])):
            await self._app(scope, receive, send)
            return
        try:
            await self._verify(header(scope, b"authorization"))
        except RejectedError as error:
            REJECTED_REQUESTS.labels(error.status, AUTH_METRIC_REASONS[error.status]).inc()
            if kind == "http":
                await self._reject(error, send)
            else:
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": str(error)})
            return
        scope[AUTHORIZED] = True
        await self._app(scope, receive, send)

    async def _reject(self, error: RejectedError, send: Send) -> None:
        challenges = self._challenges if error.status == 401 else []
        await send_response(send, error.status, error_json(error), *challenges)
