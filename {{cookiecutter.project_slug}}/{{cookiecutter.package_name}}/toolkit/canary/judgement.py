"""Judgement: when the versions are compared, how sure it must be, and whether the canary goes on, waits or goes back.

A comparison that is repeated until it shows something always does. So versions are compared at few numbers of requests
(looks), each half as large again as the one before, and the k-th look spends 1 / (k (k + 1)) of its step's and
criterion's part of ALPHA: all together spend no more than ALPHA, however long it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from .comparison import FEWEST_REQUESTS, REQUIRED, Figure
from .figure_text import NAMES, describe, number

#: The probability, at most, that a canary finds a version worse that is not: over all steps, criteria and looks.
ALPHA = 0.05
#: Criteria at most: errors, slow, rejected, drift, and one of quality.
CRITERIA = 5
#: By how much the number of requests grows from one look to the next.
GROWTH = 1.5


class Looks:
    """The looks of one step; `enough` is the number of the challenger's requests from which the step may be left."""

    def __init__(self, enough: int, steps: int) -> None:
        self._alpha = ALPHA / (steps * CRITERIA)
        self._next = float(enough)
        while self._next / GROWTH >= FEWEST_REQUESTS:
            self._next /= GROWTH
        self._looks = 0

    def alpha(self, requests: float, *, last: bool = False) -> float | None:
        """Return what this look may spend on each criterion, None if none is due; the last one always is."""
        # A little less, since counts of Prometheus and powers of 1.5 are no whole numbers.
        if requests < self._next - 0.5 and not last:
            return None
        while self._next - 0.5 <= requests:
            self._next *= GROWTH
        self._looks += 1
        return self._alpha / (self._looks * (self._looks + 1))

    @property
    def next(self) -> int:
        """The number of the challenger's requests at the next look."""
        return round(self._next)


class Decision(NamedTuple):
    """What the figures of a look say, and why."""

    action: Literal["go on", "wait", "go back"]
    reason: str


def decide(figures: Sequence[Figure], missing: Sequence[str]) -> Decision:
    """Decide by the figures of a look; `missing` says in words what there is too little of."""
    if worse := [figure for figure in figures if figure.verdict == "worse"]:
        return Decision("go back", "worse: " + ", ".join(describe(figure) for figure in worse))
    if reasons := waits_for(figures, missing):
        return Decision("wait", "; ".join(reasons))
    return Decision("go on", "not worse: " + ", ".join(NAMES[figure.criterion] for figure in _required(figures)))


def waits_for(figures: Sequence[Figure], missing: Sequence[str]) -> list[str]:
    """Return in words what keeps the figures of a look from a decision: what is missing, and what is unclear."""
    required = _required(figures)
    unclear = [
        f"{NAMES[figure.criterion]} may be worse by up to {number(figure.criterion, figure.high)} "
        f"({number(figure.criterion, figure.margin)} allowed)"
        for figure in required
        if figure.verdict != "not worse"
    ]
    found = [*missing, *(["the interval is still too wide: " + ", ".join(unclear)] if unclear else [])]
    return found or ([] if required else ["too few requests"])


def _required(figures: Sequence[Figure]) -> list[Figure]:
    return [figure for figure in figures if figure.criterion in REQUIRED]
