"""The canary: raises a challenger's traffic weight in steps, and goes on, waits or goes back by what was counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from ..common import console, progress
from ..common.errors import UserError
from ..monitoring.version_counts import VersionCounts
from ..registry import canaries
from ..registry.client import RegisteredVersion
from ..release.targets import RolloutError
from .comparison import FEWEST_REQUESTS, Figure, Margins, compare
from .counting import Counting
from .judgement import Decision, Looks, decide
from .ledger import EndedError, Ledger
from .state import BEFORE, BEGIN, STEP, Mark, read_mark
from .table import recorded, show

NOTHING = Decision("wait", "no requests")
#: Seconds for which the way back is tried while the registry does not answer.
BACK_SECONDS = 60.0


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


class Outcome(NamedTuple):
    """How a canary ended: an action of `canaries`, and why."""

    action: str
    why: str


class Canary:
    """One canary, from the step at which it is to its end."""

    def __init__(self, ledger: Ledger, plan: Plan, around: Surroundings) -> None:
        self._ledger, self._plan, self._around = ledger, plan, around
        self._begin = self._mark = Mark(time=datetime.now(UTC))
        #: The champion's counts of the steps before, with which the challenger is compared when it has all traffic.
        self._before = VersionCounts()

    def run(self) -> Outcome:
        """Go through the steps; the traffic weights are removed in the end, unless it waits for an approval."""
        try:
            return self._run()
        except BaseException:
            # Ctrl-C, for example: the next one need not wait until this process is taken for dead.
            self._ledger.release()
            raise

    def _run(self) -> Outcome:
        reason, state = "", self._ledger.state
        for step in range(state.step, len(state.steps)):
            if state.steps[step] == 100 and (needed := self._around.approval(self._ledger.challenger())):
                self._ledger.wait_for_approval(needed)
                return Outcome(canaries.WAITS, needed)
            decision, figures = self._step(step)
            show(figures, state.champion, state.challenger)
            if decision.action != "go on":
                return self._go_back(decision.reason, figures)
            self._pass(decision, figures)
            reason = decision.reason
        try:
            self._around.promote(state.challenger, f"canary: {reason}")
        except UserError as error:
            return self._go_back(str(error), [])
        self._serve_finally({state.challenger: 100})
        return Outcome(canaries.PROMOTED, reason)

    def _step(self, step: int) -> tuple[Decision, list[Figure]]:
        """Give the challenger its weight, and wait for a decision."""
        percent, deadline = self._ledger.state.steps[step], time.monotonic() + self._plan.seconds
        with progress.step(f"{percent} %", "requests") as meter:
            try:
                self._enter(step, deadline, meter)
                decision, figures = self._wait(deadline, meter)
            except RolloutError as error:
                decision, figures = Decision("go back", f"it could not be served: {error}"), []
            if decision.action == "wait":
                seconds = progress.duration(self._plan.seconds)
                why = f"nothing was shown in {seconds} (CANARY_SECONDS): {decision.reason}"
                decision = Decision("go back", f"{why}. Give it more time, or larger steps (CANARY_STEPS)")
            meter.detail = f"{decision.action}: {decision.reason.splitlines()[0]}"
        return decision, figures

    def _enter(self, step: int, deadline: float, meter: progress.Meter) -> None:
        """Have the service serve the weights of a step; `RolloutError` if it does not by the deadline."""
        while True:
            try:
                tags = self._ledger.enter(step)
                self._around.serve(self._ledger.state.weights)
                self._read_marks(tags)
                return
            except (EndedError, RolloutError):
                raise
            except UserError as error:
                self._bear(error, deadline, meter)

    def _bear(self, error: UserError, deadline: float, meter: progress.Meter) -> None:
        """Wait a moment after an error that may pass; `RolloutError` after the deadline."""
        if time.monotonic() >= deadline:
            raise RolloutError(str(error)) from error
        meter.update(0, 0, f"waiting: {str(error).splitlines()[0]}")
        time.sleep(self._around.interval)

    def _read_marks(self, tags: Mapping[str, str]) -> None:
        """Read what was kept before an interruption; make what is missing."""
        before, step, begin = (read_mark(tags, key) for key in (BEFORE, STEP, BEGIN))
        if before:
            self._before = before.counts.get(self._ledger.state.champion, self._before)
        if step is None:
            step = self._around.counting.mark()
            self._ledger.keep(STEP, step)
        if begin is None:
            begin = step
            self._ledger.keep(BEGIN, begin)
        self._mark, self._begin = step, begin

    def _wait(self, deadline: float, meter: progress.Meter) -> tuple[Decision, list[Figure]]:
        """Wait until the figures say whether to go on or back; "wait" if they do not by the deadline."""
        looks, figures, decision = Looks(self._plan.requests, len(self._ledger.state.steps)), list[Figure](), NOTHING
        seen = 0
        while True:
            over = time.monotonic() >= deadline
            try:
                self._ledger.check()
                champion, challenger = self._counts(self._mark)
                labels = self._counts(self._begin)
            except EndedError:
                raise
            except UserError as error:
                if over:
                    return Decision("wait", str(error).splitlines()[0]), figures
                self._bear(error, deadline, meter)
                continue
            requests, missing = round(challenger.answered), self._missing(champion, challenger, labels[1])
            settled = (datetime.now(UTC) - self._mark.time).total_seconds() >= self._around.counting.settling
            alpha = looks.alpha(requests, last=over) if settled or over else None
            if alpha is not None:
                figures = compare(champion, challenger, labels, self._plan.margins, alpha)
                decision = decide(figures, missing)
            elif missing:
                decision = Decision("wait", "; ".join(missing))
            if decision.action != "wait" or over:
                return decision, figures
            meter.update(max(requests - seen, 0), min(1.0, requests / self._plan.requests), decision.reason)
            seen = max(seen, requests)
            time.sleep(self._around.interval)

    def _missing(self, champion: VersionCounts, challenger: VersionCounts, labels: VersionCounts) -> list[str]:
        """Return in words what there is too little of."""
        found, requests, state = [], round(challenger.answered), self._ledger.state
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

    def _counts(self, mark: Mark) -> tuple[VersionCounts, VersionCounts]:
        """Return the counts of champion and challenger since a mark."""
        found, state, nothing = self._around.counting.since(mark), self._ledger.state, VersionCounts()
        champion = found.get(state.champion, nothing)
        if state.percent == 100 and mark is self._mark:
            champion = self._before.model_copy(update={"reference": champion.reference})
        return champion, found.get(state.challenger, nothing)

    def _pass(self, decision: Decision, figures: list[Figure]) -> None:
        """Record that a step has passed, and keep the champion's counts of it."""
        state = self._ledger.state
        if state.percent < 100:
            self._before = self._before.plus(self._counts(self._mark)[0])
            self._ledger.keep(BEFORE, Mark(time=datetime.now(UTC), counts={state.champion: self._before}))
        self._ledger.passed(decision.reason, [recorded(figure) for figure in figures])

    def _go_back(self, why: str, figures: list[Figure]) -> Outcome:
        """Give the champion all traffic again."""
        deadline, state = time.monotonic() + BACK_SECONDS, self._ledger.state
        while True:
            try:
                self._ledger.go_back(why, [recorded(figure) for figure in figures])
                break
            except EndedError:
                raise
            except UserError as error:
                if time.monotonic() >= deadline:
                    raise UserError(
                        f"{why}\nVersion {state.challenger} still gets {state.percent} % of the traffic, since the "
                        f"registry does not answer: {error}\nWhen it does: make canary ARGS=--abort"
                    ) from error
                time.sleep(self._around.interval)
        self._serve_finally({state.champion: 100})
        return Outcome(canaries.WENT_BACK, why)

    def _serve_finally(self, weights: Mapping[int, int]) -> None:
        """Have the service serve what the registry has in the end; if it does not, that is only a warning."""
        try:
            self._around.serve(weights)
        except UserError as error:
            console.warn(f"the service does not serve the end of the canary yet: {error} make deploy serves it.")
