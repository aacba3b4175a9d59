"""Who may call the service: one module a way to know it, and the guard that stands before everything."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Protocol

from starlette.types import ASGIApp

from ...common.errors import UserError
from .documented import secured


class Callers(Protocol):
    """Knows who may call."""

    #: Who may call, for people.
    words: str
    #: What curl is told for a caller to be let in; it names secrets and holds none.
    option: str
    #: The ways to send credentials, by the HTTP scheme, as OpenAPI describes them.
    schemes: dict[str, str]
    #: The statuses of refusals.
    statuses: tuple[int, ...]
    #: Why nobody can be verified, "" if they can; for the service's owner.
    problem: str

    def load(self) -> None:
        """Look at what is needed; `UserError` if it will not do."""
        ...

    async def verify(self, authorization: bytes) -> None:
        """Return if the sender of an Authorization header may call; `RejectedError` 401, 403 or 503."""
        ...


class Access:
    """Who may call the service, None for anyone, and the paths at which nobody is asked."""

    def __init__(self, callers: Callers | None, exempt: str = "") -> None:
        self.callers = callers
        paths = exempt.replace(",", " ").split()
        for path in paths:
            if not path.startswith("/"):
                raise UserError(f"AUTH_EXEMPT {path!r}: a path begins with '/', for example /{path}")
        self._exact = frozenset(paths)
        self._beginnings = tuple(path[:-1] for path in paths if path.endswith("*"))

    @property
    def option(self) -> str:
        """What curl is told for a caller to be let in."""
        return self.callers.option if self.callers else ""

    def exempts(self, path: str) -> bool:
        """Whether nobody is asked at a path."""
        return path in self._exact or path.startswith(self._beginnings)

    def load(self) -> None:
        """Look at what is needed; `UserError` if it will not do."""
        if self.callers:
            self.callers.load()

    def guard(self, app: ASGIApp) -> ASGIApp:
        """Return an application that answers those who may call; where anyone may, that is the application itself."""
        if self.callers is None:
            return app
        # Not above: it counts, and where counts go is decided when Prometheus' client is imported.
        from .guard import Guard

        return Guard(app, self.callers.verify, self.exempts, tuple(self.callers.schemes))

    def documented(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return an OpenAPI document that says who may call."""
        if self.callers is None:
            return document
        return secured(document, self.callers.schemes, self.callers.statuses, self.exempts)

    def said(self, address: str) -> tuple[str, str]:
        """Return who may call what listens on an address, and the style in which the console is to say so."""
        if self.callers:
            return self.callers.words, ""
        if _is_loopback(address):
            return "Anyone on this machine may call it (AUTH=none).", ""
        return (
            f"Anyone may call it, from any machine that reaches this one at {address} (AUTH=none). AUTH=token lets in "
            "only those who have a token, AUTH=mlflow only those who may read the model in MLflow.",
            "bold yellow",
        )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
