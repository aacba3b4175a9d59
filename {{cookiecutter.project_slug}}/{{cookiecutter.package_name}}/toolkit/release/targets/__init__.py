"""Where a release can run; one module a target, all of the same shape."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol

from ...version.artifact import Artifact
from ..store import Release


class Running(NamedTuple):
    """What a target runs at present; `since` is UTC."""

    url: str
    health: str
    release: Release
    since: datetime
    details: dict[str, str]


class Target(Protocol):
    """A place where the store's release can run."""

    def apply(self, champion: Artifact) -> str:
        """Run the store's release, proven with the champion's example before it takes over, and return its URL."""
        ...

    def running(self) -> Running | None:
        """Return what runs, None if nothing does."""
        ...

    def remove(self) -> bool:
        """Take it down, and return whether there was anything."""
        ...
