"""Judgement: when the versions are compared, how sure it must be, and whether the canary goes on, waits or goes back.

A comparison that is repeated until it shows something always does. So versions are compared at few numbers of requests
(looks), each half as large again as the one before, and the k-th look spends 1 / (k (k + 1)) of its step's and
criterion's part of ALPHA: all together spend no more than ALPHA, however long it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from .comparison import FEWEST_REQUESTS, REQUIRED, Figure

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
    required = {figure.criterion: figure for figure in figures if figure.criterion in REQUIRED}
    unclear = [
        f"{NAMES[name]} may be worse by up to {number(name, required[name].high)}"
        for name in REQUIRED
        if name in required and required[name].verdict != "not worse"
    ]
    if missing or unclear or not required:
        return Decision("wait", "; ".join([*missing, *unclear]) or "too few requests")
    return Decision("go on", "not worse: " + ", ".join(NAMES[name] for name in required))


#: The criteria in words.
NAMES = {
    "errors": "errors",
    "slow": "slow requests",
    "rejected": "rejected requests",
    "drift": "prediction drift",
    "wrong": "wrong predictions",
    "error": "mean absolute error",
}


def describe(figure: Figure) -> str:
    """Return a figure in words: the criterion, both values, and the difference with its interval."""
    name, detail = figure.criterion, {"slow": f" (> {figure.detail} s)", "drift": f" of {figure.detail}"}
    values = " instead of ".join(number(name, value) for value in (figure.challenger, figure.champion))
    return f"{NAMES[name]}{detail.get(name, '')} {values} ({interval(figure)})"


def interval(figure: Figure) -> str:
    """Return the difference with its interval, as in "+1.2 % (0.4 % to 2.1 %)"."""
    low, high = number(figure.criterion, figure.low), number(figure.criterion, figure.high)
    sign = "+" if figure.worse_by >= 0 else ""
    return f"{sign}{number(figure.criterion, figure.worse_by)}, {low} to {high}"


def number(criterion: str, value: float) -> str:
    """Return the value of a criterion: a share in percent, or a number."""
    return f"{value:.3g}" if criterion in ("drift", "error") else f"{100 * value:.1f} %"
