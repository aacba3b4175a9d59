"""The canary: raises a challenger's traffic weight in steps, to champion or back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from ..common import console
from ..common.errors import UserError
from ..registry import canaries
from .comparison import Figure
from .figure_text import recorded, show
from .ledger import EndedError, Ledger
from .step import Plan, Step, Surroundings, retry

#: Seconds for which a decision is written again while the registry does not answer.
DECISION_SECONDS = 60.0


class Outcome(NamedTuple):
    """How a canary ended: an action of `canaries`, and why."""

    action: str
    why: str


class Canary:
    """One canary, from the step at which it is to its end."""

    def __init__(self, ledger: Ledger, plan: Plan, around: Surroundings) -> None:
        self._ledger, self._around, self._step = ledger, around, Step(ledger, plan, around)

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
            decision, figures, champion = self._step.run(step)
            show(figures, state.champion, state.challenger)
            if decision.action != "go on":
                return self._go_back(decision.reason, figures)
            before, reason = self._ledger.state.before.plus(champion), decision.reason
            passed = partial(self._ledger.passed, before, reason, [recorded(figure) for figure in figures])
            retry(passed, time.monotonic() + DECISION_SECONDS, self._around.interval)
        try:
            self._around.promote(state.challenger, f"canary: {reason}")
        except UserError as error:
            return self._go_back(str(error), [])
        self._serve_finally({state.challenger: 100})
        return Outcome(canaries.PROMOTED, reason)

    def _go_back(self, why: str, figures: Sequence[Figure]) -> Outcome:
        """Give the champion all traffic again."""
        state = self._ledger.state
        go_back = partial(self._ledger.go_back, why, [recorded(figure) for figure in figures])
        try:
            retry(go_back, time.monotonic() + DECISION_SECONDS, self._around.interval)
        except EndedError:
            raise
        except UserError as error:
            raise UserError(
                f"{why}\nVersion {state.challenger} still gets {state.percent} % of the traffic, since the registry "
                f"does not answer: {error}\nWhen it does: make canary ARGS=--abort"
            ) from error
        self._serve_finally({state.champion: 100})
        return Outcome(canaries.WENT_BACK, why)

    def _serve_finally(self, weights: Mapping[int, int]) -> None:
        """Have the service serve what the registry has in the end; if it does not, that is only a warning."""
        try:
            self._around.serve(weights)
        except UserError as error:
            console.warn(f"the service does not serve the end of the canary yet: {error} make deploy serves it.")
