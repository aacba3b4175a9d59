"""A Lease: who may change a deployment now, so that two reconcilers never do at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from ....common import console
from .cluster import Cluster, ClusterError, ConflictError

API, KIND = "coordination.k8s.io/v1", "Lease"
#: Seconds after which a Lease that is not renewed is free.
SECONDS = 15


class LeaseError(ClusterError):
    """A Lease that somebody else holds, or that was lost."""


class Lease:
    """The Lease of one name. Each process that wants it needs an object, and a holder's name, of its own."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        holder: str,
        *,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._name, self._holder = cluster, name, holder
        self._seconds, self._clock = seconds, clock
        #: The holder and the time of the last renewal that were seen, and since when they are.
        self._seen: tuple[str, str] = ("", "")
        self._since = 0.0
        self._renewed = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the Lease, renewed in a thread; `LeaseError` at once if somebody else holds it."""
        self.acquire()
        done = threading.Event()
        thread = threading.Thread(target=self._keep, args=[done], daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            # Where that fails, the Lease expires.
            with suppress(ClusterError):
                found = self._cluster.get("lease", self._name)
                if _holder(found) == self._holder:
                    self._write(found, "")

    def acquire(self) -> None:
        """Take or renew the Lease; `LeaseError` if somebody else holds it.

        It is free when its holder has not renewed it for as long as it says, by the clock of this process: clocks of
        machines differ.
        """
        found = self._cluster.get("lease", self._name)
        holder, spec = _holder(found), _spec(found)
        seen = holder, spec.get("renewTime") or ""
        if seen != self._seen:
            self._seen, self._since = seen, self._clock()
        expired = self._clock() - self._since > spec.get("leaseDurationSeconds", self._seconds)
        if holder not in ("", self._holder) and not expired:
            raise LeaseError(f"{holder} changes the deployment now (Lease {self._name})")
        start = self._clock()
        try:
            self._write(found, self._holder)
        except ConflictError as error:
            raise LeaseError(f"Somebody else took Lease {self._name} at the same moment") from error
        self._renewed = start

    def check(self) -> None:
        """Raise `LeaseError` if the Lease may be somebody else's by now."""
        if self._clock() - self._renewed > self._seconds:
            raise LeaseError(f"Lease {self._name} was lost: it could not be renewed for {self._seconds:g} s")

    def _keep(self, done: threading.Event) -> None:
        while not done.wait(self._seconds / 3):
            try:
                self.acquire()
            except ClusterError as error:
                console.say(f"Lease {self._name} was not renewed: {error}")

    def _write(self, found: Any, holder: str) -> None:
        """Replace the Lease that was read, or make it if there is none."""
        old = _spec(found)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = old | {"holderIdentity": holder, "leaseDurationSeconds": max(1, round(self._seconds)), "renewTime": now}
        if holder != _holder(found):
            spec |= {"acquireTime": now, "leaseTransitions": old.get("leaseTransitions", 0) + 1}
        metadata = found["metadata"] if found else {"name": self._name}
        self._cluster.put({"apiVersion": API, "kind": KIND, "metadata": metadata, "spec": spec})


def _spec(found: Any) -> dict[str, Any]:
    return (found or {}).get("spec") or {}


def _holder(found: Any) -> str:
    return _spec(found).get("holderIdentity") or ""
