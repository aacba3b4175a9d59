"""What is asked of a cluster: kubectl answers people and CI (`kubectl.py`), the API server a pod (`api_server.py`)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from ....common.errors import UserError

#: Whose fields server-side apply considers ours: those of whole manifests, and those of the reconciler.
FIELD_MANAGER, SYNC_FIELD_MANAGER = "make-deploy", "make-sync"
#: Seconds that one request may take.
REQUEST_SECONDS = 20

Object = dict[str, Any]


class ClusterError(UserError):
    """A request that failed; the message has a cure and the cluster's own words."""


class ConflictError(ClusterError):
    """An object that somebody else has changed or made meanwhile."""


class Cluster(Protocol):
    """One namespace of a cluster. Each method raises `ClusterError` if the cluster does not do it."""

    @property
    def namespace(self) -> str:
        """The namespace that all methods work in."""
        ...

    def get(self, kind: str, name: str) -> Any:
        """Return an object as the API server has it, None if there is none."""
        ...

    def find(self, kind: str, *, labels: str = "", fields: str = "") -> list[Object]:
        """Return the objects of a kind with some labels and fields, each a selector such as "a=b,c=d"."""
        ...

    def apply(self, manifests: str, *, manager: str = FIELD_MANAGER) -> None:
        """Make objects what manifests say; fields that others set meanwhile are the manager's again."""
        ...

    def put(self, content: Object) -> None:
        """Make an object, or replace the one of its resourceVersion; `ConflictError` if somebody else was faster."""
        ...

    def log(self, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """Return the last lines of a container's log, or of its last end."""
        ...

    def service(self, name: str) -> AbstractContextManager[str]:
        """Return a context with a URL that leads to a Service."""
        ...
