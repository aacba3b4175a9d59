"""Where a release can run: one module for each target, all with the interface `Target`."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from ...common.errors import UserError
from ...version.artifact import Artifact
from ..store import Release


class RolloutError(UserError):
    """A release that was started and did not serve; the message is the target's own reason."""


class Rollout(NamedTuple):
    """What `apply` did: the URL of the service, the action in a few words, and the image by its digest, if any.

    `call` is a shell line that sends rows where curl cannot, since a cloud wants signed requests; "" elsewhere.
    """

    url: str
    action: str
    image: str = ""
    call: str = ""


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

    @property
    def place(self) -> str:
        """Where that is, for people: the host, the namespace or the account."""
        ...

    def apply(self, champion: Artifact) -> Rollout:
        """Run the store's release; a new process is checked with the champion's example before it takes over.

        `RolloutError` if the release does not serve; another `UserError` if it could not be tried.
        """
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


@runtime_checkable
class ExplainsAbsence(Protocol):
    """A target that knows more than that nothing runs: that it crashed, or what else listens on the port."""

    def absence(self) -> str:
        """Return what is known where `running` returns None, "" if nothing is."""
        ...
