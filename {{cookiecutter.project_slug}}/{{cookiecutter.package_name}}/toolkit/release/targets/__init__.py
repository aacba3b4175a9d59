"""Where a release can run: one module for each target, all with the interface `Target`."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol

from ...version.artifact import Artifact
from ..store import Release


class Rollout(NamedTuple):
    """What `apply` did: the URL of the service, and the action in a few words."""

    url: str
    action: str


class Deployment(NamedTuple):
    """A running deployment: its URL, health, release, start (UTC), and details by name."""

    url: str
    health: str
    release: Release
    since: datetime
    details: dict[str, str]


class Target(Protocol):
    """A place where the store's release can run."""

    def plan(self, release: Release) -> bool:
        """Print what `apply` would change to run a release, and return whether it would change anything."""
        ...

    def apply(self, champion: Artifact) -> Rollout:
        """Run the store's release; a new process is checked with the champion's example before it takes over."""
        ...

    def running(self) -> Deployment | None:
        """Return the running deployment, None if there is none."""
        ...

    def rollback(self, champion: int) -> Release | None:
        """Run the deployment before, whose champion is this version; None where the store's release decides."""
        ...

    def remove(self) -> bool:
        """Stop the deployment, and return whether there was one."""
        ...
