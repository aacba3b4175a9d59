"""Where a release can run: one module for each target, all with the interface `Target`."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol

from ...version.artifact import Artifact
from ..store import Release


class Running(NamedTuple):
    """A deployment in operation: its URL, health, release, start (UTC), and details by name."""

    url: str
    health: str
    release: Release
    since: datetime
    details: dict[str, str]


class Target(Protocol):
    """A place where the store's release can run."""

    def apply(self, champion: Artifact) -> str:
        """Run the store's release, checked with the champion's example before it takes over, and return its URL."""
        ...

    def running(self) -> Running | None:
        """Return the deployment in operation, None if there is none."""
        ...

    def remove(self) -> bool:
        """Stop the deployment, and return whether there was one."""
        ...
