"""The access policy: how callers authenticate, and which paths need no credentials."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Protocol

from starlette.types import ASGIApp

from ...common.errors import UserError
from .openapi_security import add_security


class Authenticator(Protocol):
    """Checks the credentials of callers."""

    #: Who is authorized, in a sentence.
    description: str
    #: The option with which curl sends credentials; it names secrets and holds none.
    curl_option: str
    #: Description of the accepted credentials, by HTTP scheme.
    schemes: dict[str, str]
    #: The statuses of rejected requests.
    statuses: tuple[int, ...]
    #: Why credentials cannot be checked at present, "" if they can; for the service's owner.
    problem: str

    def load(self) -> None:
        """Check what is needed; `UserError` if it is missing or invalid."""
        ...

    async def verify(self, authorization: bytes) -> None:
        """Return if the sender of an Authorization header is authorized; `RejectedError` 401, 403 or 503."""
        ...


class AccessPolicy:
    """How callers authenticate, None for no authentication, and the paths that are exempt from it.

    `exempt` lists paths, with spaces or commas between them; a trailing `*` matches every path with that prefix.
    """

    def __init__(self, authenticator: Authenticator | None, exempt: str = "") -> None:
        self.authenticator = authenticator
        paths = exempt.replace(",", " ").split()
        for path in paths:
            if not path.startswith("/"):
                raise UserError(f"AUTH_EXEMPT {path!r}: a path begins with '/', for example /{path}")
        self._paths = frozenset(paths)
        self._prefixes = tuple(path[:-1] for path in paths if path.endswith("*"))

    @property
    def curl_option(self) -> str:
        """The option with which curl sends credentials, "" if none are needed."""
        return self.authenticator.curl_option if self.authenticator else ""

    def is_exempt(self, path: str) -> bool:
        """Whether requests to a path need no credentials."""
        return path in self._paths or path.startswith(self._prefixes)

    def load(self) -> None:
        """Check what authentication needs; `UserError` if it is missing or invalid."""
        if self.authenticator:
            self.authenticator.load()

    def protect(self, app: ASGIApp) -> ASGIApp:
        """Return an application that answers authorized callers only; without authentication, `app` itself."""
        if self.authenticator is None:
            return app
        # Not above: it counts, and where counts go is decided when Prometheus' client is imported.
        from .middleware import AuthMiddleware

        return AuthMiddleware(app, self.authenticator.verify, self.is_exempt, tuple(self.authenticator.schemes))

    def add_to_openapi(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return an OpenAPI document with the credentials that each operation needs."""
        if self.authenticator is None:
            return document
        return add_security(document, self.authenticator.schemes, self.authenticator.statuses, self.is_exempt)

    def describe(self, address: str) -> tuple[str, str]:
        """Return who may call a service that listens on an address, and the console style for that sentence."""
        if self.authenticator:
            return self.authenticator.description, ""
        if _is_loopback(address):
            return "No authentication (AUTH=none): anyone on this machine may call it.", ""
        return (
            f"No authentication (AUTH=none): anyone may call it from any machine that reaches this one at {address}. "
            "AUTH=token requires a token; AUTH=mlflow requires permission to read the model in MLflow.",
            "bold yellow",
        )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
