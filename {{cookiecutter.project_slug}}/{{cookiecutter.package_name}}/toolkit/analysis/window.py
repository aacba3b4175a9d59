"""The window of an analysis: from when to when, in intervals that are counted apart."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

#: Seconds of an interval: the first that makes few enough, by default at most `MOST_INTERVALS`.
SECONDS = (60, 300, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800)
MOST_INTERVALS = 336
#: A part of the window has so many intervals, if that makes no more than so many times the most.
PARTS, MORE = 4, 8
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Window(NamedTuple):
    """Intervals of equal length; the first begins with the window, the last ends with it."""

    start: datetime
    seconds: int
    intervals: int

    @classmethod
    def of(cls, end: datetime, days: float, most: int = MOST_INTERVALS, *, shortest: float = math.inf) -> Window:
        """Return the window of so many days until the end, and of the interval that is not over then.

        `most` is the number of intervals beside that one. `shortest` are the days of the shortest part of the window
        that is looked at: it is measured in whole intervals, so they are shorter where it is much shorter.
        """
        seconds, finest = (
            next((s for s in SECONDS if days * 86_400 / s <= count), SECONDS[-1]) for count in (most, MORE * most)
        )
        fine = max((s for s in SECONDS if s <= shortest * 86_400 / PARTS), default=SECONDS[0])
        seconds = min(seconds, max(fine, finest))
        last, count = (end - EPOCH).total_seconds() // seconds + 1, _intervals(days, seconds)
        return cls(EPOCH + timedelta(seconds=(last - count) * seconds), seconds, count)

    @property
    def end(self) -> datetime:
        """When the last interval ends."""
        return self.time(self.intervals)

    def time(self, interval: int) -> datetime:
        """Return when an interval begins."""
        return self.start + timedelta(seconds=interval * self.seconds)

    def positions(self, time: np.ndarray) -> np.ndarray:
        """Return the interval of each time (n,), -1 where it lies outside; NaT does."""
        start = np.datetime64(self.start.replace(tzinfo=None), "us")
        outside = np.isnat(time)
        since = np.where(outside, start, time) - start
        found = since.astype("timedelta64[us]").astype(np.int64) // (self.seconds * 1_000_000)
        return np.where(outside | (found < 0) | (found >= self.intervals), -1, found)

    def count_late(self, time: np.ndarray) -> int:
        """Return how many of some times (n,) are after the window, or are NaT."""
        end = np.datetime64(self.end.replace(tzinfo=None), "us")
        return int(np.count_nonzero(~(time < end)))

    def last(self, days: float) -> range:
        """Return the intervals of the last so many days, and the one that is not over."""
        return range(max(0, self.intervals - _intervals(days, self.seconds)), self.intervals)


def _intervals(days: float, seconds: int) -> int:
    return math.ceil(days * 86_400 / seconds) + 1
