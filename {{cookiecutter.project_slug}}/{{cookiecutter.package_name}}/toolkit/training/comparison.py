"""The comparison of a version with the champion: the difference of one metric on the same rows, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel

#: From so many times the rows on, a number of rows is no advice.
MOST_TIMES = 1000
#: Bootstrap resamples, if there is time for all.
RESAMPLES = 1000


class Comparison(BaseModel):
    """How much better a version is than the champion in one metric, with a confidence interval.

    Negative numbers are worse, whether a high or a low metric is good. `low` and `high` are None without interval, and
    `note` says why.
    """

    better: float
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    rows: int
    #: The number of bootstrap resamples, 0 for McNemar's test and without interval.
    resamples: int = 0
    note: str = ""

    @property
    def interval(self) -> str:
        """The interval as text, as in "-0.010 to 0.034"; "" if there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"{self._number(self.low)} to {self._number(self.high)}"

    @property
    def is_none(self) -> bool:
        """Whether there is no difference, and no doubt of it: both versions predict the same."""
        return self.better == self.low == self.high == 0

    @property
    def text(self) -> str:
        """The difference with its interval, as a phrase."""
        if self.is_none:
            interval = "no difference"
        elif self.low is None or self.high is None:
            interval = f"no interval, since {self.note}"
        elif self.low < 0 < self.high:
            interval = f"{self._percent}: {self._number(-self.low)} worse to {self._number(self.high)} better"
        else:
            ends = sorted((abs(self.low), abs(self.high)))
            interval = f"{self._percent}: {self._number(ends[0])} to {self._number(ends[1])}"
        if not self.better:
            return f"as good as the champion ({interval})"
        return f"{self.difference} than the champion ({interval})"

    @property
    def difference(self) -> str:
        """The difference as text, as in "0.012 better"."""
        return f"{self._number(abs(self.better))} {'better' if self.better > 0 else 'worse'}"

    @property
    def change(self) -> str:
        """The difference with its interval as the cell of a table."""
        if self.is_none:
            return "no difference"
        return f"{self._number(self.better, '+')}" + (f" ({self.interval})" if self.interval else "")

    @property
    def is_undecided(self) -> bool:
        """Whether the difference may be chance: the interval contains 0."""
        return bool(self.better) and self.low is not None and self.high is not None and self.low <= 0 <= self.high

    def rows_for(self, margin: float) -> int | None:
        """Return about how many rows the interval needs to lie beyond a margin, if the difference stays as it is.

        None if it does already, and if it takes more than a thousand times as many.
        """
        distance = self.better - margin
        if self.low is None or self.high is None or distance == 0:
            return None
        # The width of an interval falls with the square root of the rows.
        half = self.better - self.low if distance > 0 else self.high - self.better
        times = (half / distance) ** 2
        if not 1 <= times <= MOST_TIMES:
            return None
        rows = self.rows * times
        unit = 10 ** max(0, math.floor(math.log10(rows)) - 1)
        return math.ceil(rows / unit) * unit

    @property
    def _percent(self) -> str:
        return f"{100 * self.confidence:g} %"

    def _number(self, value: float, sign: str = "") -> str:
        """Return a number with as many decimals as its interval deserves: two digits of the width."""
        width = (self.high - self.low) if self.low is not None and self.high is not None else 0.0
        size = width or abs(self.better)
        decimals = min(12, max(0, 1 - math.floor(math.log10(size)))) if size > 0 else 3
        # Adding 0 makes -0.0 positive.
        return f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"


def heading(comparisons: Iterable[Comparison]) -> str:
    """Return the heading of a column of changes."""
    found = {comparison.confidence for comparison in comparisons}
    return f"better by ({100 * found.pop():g} %)" if len(found) == 1 else "better by (interval)"


def notes(comparisons: Mapping[str, Comparison]) -> Iterator[str]:
    """Yield what differences do not say, by metric: which may be chance, and which intervals are missing or rough."""
    undecided = {name: one for name, one in comparisons.items() if one.is_undecided}
    if undecided:
        texts = [f"{name}{_rows(one)}" for name, one in undecided.items()]
        yield f"May be chance, since the interval contains 0: {', '.join(texts)}"
    for name, one in comparisons.items():
        if one.low is None:
            yield f"{name} has no interval, since {one.note}"
        elif 0 < one.resamples < RESAMPLES:
            yield f"{name}: the interval is of {one.resamples} resamples; a larger BOOTSTRAP_SECONDS allows {RESAMPLES}"


def _rows(comparison: Comparison) -> str:
    needed = comparison.rows_for(0)
    return f" (about {needed:,} rows could tell, there are {comparison.rows:,})" if needed else ""
