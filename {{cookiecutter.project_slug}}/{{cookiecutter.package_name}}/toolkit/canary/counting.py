"""What was counted since a moment: by one service, or by all replicas where Prometheus adds them up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from ..monitoring.prometheus_api import PrometheusApi
from ..monitoring.version_counts import VersionCounts, increases
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

    def __init__(self, source: str, scrape: Callable[[], dict[int, VersionCounts]]) -> None:
        self.source, self._scrape = source, scrape
        #: What was counted last, and by the processes before the present one.
        self._last: dict[int, VersionCounts] = {}
        self._earlier: dict[int, VersionCounts] = {}

    def mark(self) -> Mark:
        """Return the present moment with all counts."""
        return Mark(time=datetime.now(UTC), counts=self._read())

    def since(self, mark: Mark) -> dict[int, VersionCounts]:
        """Return what was counted since a mark."""
        now, nothing = self._read(), VersionCounts()
        # The mark may be that of a process before. All versions count from 0 then, not only those with fewer requests.
        anew = any(before.answered > now[number].answered for number, before in mark.counts.items() if number in now)
        then = {} if anew else mark.counts
        return {number: counts.since(then.get(number, nothing)) for number, counts in now.items()}

    def _read(self) -> dict[int, VersionCounts]:
        """Return counts that only grow, also when the service is started anew."""
        now = self._scrape()
        answered = {id(counts): sum(one.answered for one in counts.values()) for counts in (now, self._last)}
        if answered[id(now)] < answered[id(self._last)]:
            for number, counts in self._last.items():
                self._earlier[number] = self._earlier.get(number, VersionCounts()).plus(counts)
        self._last = now
        return {
            number: now.get(number, VersionCounts()).plus(self._earlier.get(number, VersionCounts()))
            for number in {**now, **self._earlier}
        }


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
