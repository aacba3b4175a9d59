"""One step of a canary: the challenger gets its weight, and what is counted from then on decides, or time runs out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, TypeVar

from ..common import console, progress
from ..common.errors import UserError
from ..monitoring.version_counts import VersionCounts
from ..registry.client import RegisteredVersion
from ..release.targets import RolloutError
from .comparison import FEWEST_REQUESTS, Figure, Margins, compare
from .counting import Counting
from .judgement import Decision, Looks, decide, waits_for
from .ledger import EndedError, Ledger
from .state import Mark

Result = TypeVar("Result")


class Plan(NamedTuple):
    """What each step needs: requests and labels of the challenger; how long it waits, and what may be worse."""

    requests: int
    labels: int
    seconds: float
    margins: Margins


class Surroundings(NamedTuple):
    """What a canary works with, beside the registry."""

    #: Makes the service serve the registry's traffic weights, by version, and waits until it does; `RolloutError` if it
    #: cannot load a version, another `UserError` if it does not answer.
    serve: Callable[[Mapping[int, int]], None]
    counting: Counting
    #: Makes the challenger champion, with a reason; `UserError` if it may not be.
    promote: Callable[[int, str], None]
    #: Returns why a version may not be champion without somebody's approval, "" if it may.
    approval: Callable[[RegisteredVersion], str]
    #: Seconds between two looks at registry and counts.
    interval: float


class StepResult(NamedTuple):
    """How a step ended, on which figures, and what it has counted of the champion."""

    decision: Decision
    figures: Sequence[Figure] = ()
    champion: VersionCounts = VersionCounts()


class Counts(NamedTuple):
    """What was counted of champion and challenger: in the step, and of labels since the canary began."""

    requests: tuple[VersionCounts, VersionCounts]
    labels: tuple[VersionCounts, VersionCounts]


class Step:
    """The step of a canary that begins, or goes on after an interruption."""

    def __init__(self, ledger: Ledger, plan: Plan, around: Surroundings) -> None:
        self._ledger, self._plan, self._around = ledger, plan, around

    def run(self, step: int) -> StepResult:
        """Give the challenger its weight, and wait for a decision: to go on or back."""
        percent, deadline = self._ledger.state.steps[step], time.monotonic() + self._plan.seconds
        with progress.step(f"{percent} %", "requests") as meter:
            try:
                retry(partial(self._enter, step), deadline, self._around.interval, meter)
                result = self._wait(deadline, meter)
            except EndedError:
                raise
            except UserError as error:
                result = StepResult(Decision("go back", f"it could not be served: {error}"))
            decision = result.decision
            if decision.action == "wait":
                seconds = console.duration(self._plan.seconds)
                why = f"nothing was shown in {seconds} (CANARY_SECONDS): {decision.reason}"
                decision = Decision("go back", f"{why}. Give it more time, or larger steps (CANARY_STEPS)")
            meter.detail = f"{decision.action}: {decision.reason.splitlines()[0]}"
        return result._replace(decision=decision)

    def _enter(self, step: int) -> None:
        """Have the service serve the weights of a step, and count from then on, if that has not begun."""
        self._ledger.enter(step)
        self._around.serve(self._ledger.state.weights)
        if self._ledger.state.mark is None:
            self._ledger.begin_counting(self._around.counting.mark())

    def _wait(self, deadline: float, meter: progress.Meter) -> StepResult:
        """Wait until the figures say whether to go on or back; "wait" if they do not by the deadline."""
        looks, figures = Looks(self._plan.requests, len(self._ledger.state.steps)), list[Figure]()
        seen = 0
        while True:
            try:
                counts = retry(self._count, deadline, self._around.interval, meter)
            except EndedError:
                raise
            except UserError as error:
                return StepResult(Decision("wait", str(error).splitlines()[0]), figures)
            over, settling, missing = time.monotonic() >= deadline, self._settling(), self._missing(counts)
            requests = round(counts.requests[1].answered)
            alpha = looks.alpha(requests, last=over) if over or not settling else None
            if alpha is not None:
                figures = compare(*counts.requests, counts.labels, self._plan.margins, alpha)
                decision = decide(figures, missing)
                if decision.action != "wait" or over:
                    return StepResult(decision, figures, counts.requests[0])
            note = settling or "; ".join([*waits_for(figures, missing), f"next look at {looks.next:,} requests"])
            meter.update(max(requests - seen, 0), min(1.0, requests / self._plan.requests), note)
            seen = max(seen, requests)
            time.sleep(self._around.interval)

    def _count(self) -> Counts:
        """Return what was counted until now; `EndedError` if it is this process' canary no more."""
        self._ledger.check()
        state = self._ledger.state
        assert state.mark and state.begin
        champion, challenger = self._since(state.mark)
        if state.percent == 100:  # it has no requests any more
            champion = state.before.model_copy(update={"reference": champion.reference})
        return Counts((champion, challenger), self._since(state.begin))

    def _since(self, mark: Mark) -> tuple[VersionCounts, VersionCounts]:
        """Return the counts of champion and challenger since a mark."""
        found, state, nothing = self._around.counting.since(mark), self._ledger.state, VersionCounts()
        return found.get(state.champion, nothing), found.get(state.challenger, nothing)

    def _settling(self) -> str:
        """Return in words that the counts tell nothing yet, "" if they do."""
        mark, counting = self._ledger.state.mark, self._around.counting
        left = counting.settling - (datetime.now(UTC) - mark.time).total_seconds() if mark else 0
        return f"{counting.source} has all counts in {console.duration(left)}" if left > 0 else ""

    def _missing(self, counts: Counts) -> list[str]:
        """Return in words what there is too little of."""
        found, state, (champion, challenger) = [], self._ledger.state, counts.requests
        requests, labels = round(challenger.answered), counts.labels[1]
        if not requests and not champion.answered:
            return ["no request has reached either version in this step"]
        if requests < self._plan.requests:
            found.append(f"{requests} of {self._plan.requests} requests to version {state.challenger}")
        if champion.answered < FEWEST_REQUESTS:
            found.append(f"{round(champion.answered)} of {FEWEST_REQUESTS} requests to version {state.champion}")
        count = round(sum(labels.labels.values()) + labels.numbers)
        if count < self._plan.labels:
            found.append(f"{count} of {self._plan.labels} labels for version {state.challenger}")
        return found


def retry(
    action: Callable[[], Result], deadline: float, interval: float, meter: progress.Meter | None = None
) -> Result:
    """Return what an action does, which is tried until a deadline after errors that may pass."""
    while True:
        try:
            return action()
        except (EndedError, RolloutError):
            raise
        except UserError as error:
            if time.monotonic() >= deadline:
                raise
            if meter:
                meter.update(0, 0, f"waiting: {str(error).splitlines()[0]}")
        time.sleep(interval)
