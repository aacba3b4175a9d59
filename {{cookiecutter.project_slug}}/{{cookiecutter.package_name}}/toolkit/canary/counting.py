"""What was counted since a moment: by one service, or by all replicas where Prometheus adds them up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from ..monitoring.prometheus_api import PrometheusApi
from ..monitoring.version_counts import ServiceCounts, VersionCounts, increases
from .state import Mark

#: Seconds that Prometheus needs until an increase is right: some scrapes of most configurations.
PROMETHEUS_SECONDS = 60.0


class Counting(Protocol):
    """Counts of each version since a mark."""

    #: Where the counts come from, for people.
    source: str
    #: Seconds after a mark before which the counts tell nothing.
    settling: float

    def mark(self) -> Mark:
        """Return the present moment."""
        ...

    def since(self, mark: Mark) -> dict[int, VersionCounts]:
        """Return what was counted since a mark, by version; `UserError` if nothing answers."""
        ...


class ServiceCounting:
    """Counts of one service, whose workers add theirs up themselves; it may be started anew meanwhile."""

    settling = 0.0

    def __init__(self, source: str, scrape: Callable[[], ServiceCounts]) -> None:
        self.source, self._scrape = source, scrape
        #: What each process of the service had counted when it was looked at last, by its start, oldest first.
        self._seen: dict[float, dict[int, VersionCounts]] = {}

    def mark(self) -> Mark:
        """Return the present moment with what the present process has counted."""
        started, counts = self._scrape()
        self._seen[started] = counts
        return Mark(time=datetime.now(UTC), started=started, counts=counts)

    def since(self, mark: Mark) -> dict[int, VersionCounts]:
        """Return what was counted since a mark."""
        self.mark()
        starts, nothing, found = list(self._seen), VersionCounts(), dict[int, VersionCounts]()
        # A mark of a process that was never seen is from before all others.
        for started in starts[starts.index(mark.started) if mark.started in starts else 0 :]:
            before = mark.counts if started == mark.started else {}
            for number, counts in self._seen[started].items():
                new = counts.since(before.get(number, nothing))
                found[number] = found.get(number, nothing).plus(new)
        return found


class PrometheusCounting:
    """Counts of all replicas, by a Prometheus."""

    settling = PROMETHEUS_SECONDS

    def __init__(self, prometheus: PrometheusApi, address: str, job: str = "") -> None:
        self.source, self._prometheus, self._job = f"Prometheus at {address}", prometheus, job

    def mark(self) -> Mark:
        """Return the present moment; Prometheus knows the counts."""
        return Mark(time=datetime.now(UTC))

    def since(self, mark: Mark) -> dict[int, VersionCounts]:
        """Return what was counted since a mark."""
        seconds = (datetime.now(UTC) - mark.time).total_seconds()
        return increases(self._prometheus, max(seconds, 1), self._job)
