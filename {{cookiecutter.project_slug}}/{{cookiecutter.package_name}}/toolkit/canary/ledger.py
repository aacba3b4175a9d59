"""A canary in the registry: its state, its traffic weights and its decisions, and whether somebody else interferes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from typing import Any

from ..common.errors import UserError
from ..common.names import CHAMPION, TRAFFIC
from ..monitoring.version_counts import VersionCounts
from ..registry import canaries
from ..registry.client import RegisteredVersion, Registry, find
from . import state as states
from .state import Mark, State

OpenRegistry = Callable[[], AbstractContextManager[Registry]]
"""Opens the registry; `UserError` if it does not answer, also inside."""


class EndedError(UserError):
    """Somebody else has changed champion, traffic or canary meanwhile; what they have set is left as it is."""


class Ledger:
    """Keeps one canary in the registry; each method raises `EndedError` if it is this process' canary no more."""

    def __init__(self, state: State, registry: OpenRegistry) -> None:
        self.state, self._registry = state, registry
        self._signed, self._over = time.monotonic(), False

    def check(self) -> Mapping[str, str]:
        """Return the tags of the model, and give a sign now and then."""
        with self._registry() as registry:
            return self._check(registry)

    def challenger(self) -> RegisteredVersion:
        """Return the challenger as the registry has it."""
        with self._registry() as registry:
            self._check(registry)
            return registry.get(str(self.state.challenger))

    def enter(self, step: int) -> None:
        """Set the traffic weights of a step."""
        with self._registry() as registry:
            tags, wanted = self._check(registry), self.state.in_step(step)
            # First the state: whoever finds the weights must know whose they are.
            self._write(registry, wanted)
            if tags.get(TRAFFIC) != wanted.traffic:
                registry.set_tag(TRAFFIC, wanted.traffic)

    def begin_counting(self, mark: Mark) -> None:
        """Keep the moment from which the current step counts."""
        with self._registry() as registry:
            # A rollout takes a while, and an ended canary must not come back.
            self._check(registry)
            self._write(registry, self.state.marked(mark))

    def passed(self, before: VersionCounts, why: str, figures: Sequence[Mapping[str, Any]]) -> None:
        """Record that the challenger has passed the current step; `before` has the champion's counts up to here."""
        with self._registry() as registry:
            self._check(registry)
            self._record(registry, canaries.PASSED, why, figures)
            if self.state.step + 1 < len(self.state.steps):
                self._write(registry, self.state.next_step(before))

    def wait_for_approval(self, needed: str) -> None:
        """Record that the canary waits for an approval; the weights stay, and anybody may go on."""
        with self._registry() as registry:
            self._check(registry)
            self._record(registry, canaries.WAITS, needed)
            self._write(registry, self.state.model_copy(update={"holder": ""}))

    def go_back(self, why: str, figures: Sequence[Mapping[str, Any]]) -> None:
        """Give the champion all traffic again, and record why."""
        with self._registry() as registry:
            # At once; what fails after that is tried again without it.
            if not self._over:
                canaries.end(registry, self._check(registry))
                self._over = True
            self._record(registry, canaries.WENT_BACK, why, figures)

    def release(self) -> None:
        """Let another process go on at once; a registry that does not answer is ignored: it may in a minute."""
        with suppress(UserError), self._registry() as registry:
            current = states.read(registry.tags())
            if current and current.holder == self.state.holder:
                self._write(registry, current.model_copy(update={"holder": ""}))

    def _check(self, registry: Registry) -> Mapping[str, str]:
        tags = registry.tags()
        current = states.read(tags)
        if current is None:
            events = [event for event in canaries.recorded(tags).values() if event]
            last = f" ({events[-1].action} by {events[-1].who}: {events[-1].why})" if events else ""
            raise EndedError(f"The canary of version {self.state.challenger} was ended meanwhile{last}.")
        if current.holder != self.state.holder:
            raise EndedError(f"Another make canary ({current.holder or 'ended by now'}) has taken this one over.")
        if changed := self._changed(registry, tags):
            canaries.end(registry, tags)
            self._record(registry, canaries.ENDED, changed)
            raise EndedError(
                f"The canary of version {self.state.challenger} ends, since {changed}. make deploy serves what the "
                "registry has now; make canary begins anew."
            )
        if time.monotonic() - self._signed > states.STALE_SECONDS / 4:
            self._write(registry, self.state)
        return tags

    def _changed(self, registry: Registry, tags: Mapping[str, str]) -> str:
        """Return what somebody else has changed, "" if nothing."""
        versions, traffic = registry.versions(), tags.get(TRAFFIC, "")
        champion = find(versions, CHAMPION)
        if champion is None or champion.number != self.state.champion:
            return f"{f'version {champion.number}' if champion else 'no version'} is {CHAMPION} now"
        if find(versions, str(self.state.challenger)) is None:
            return f"version {self.state.challenger} was deleted"
        # Interrupted between state and weights, it has those of the step before.
        if traffic not in {self.state.traffic, *(self.state.in_step(i).traffic for i in self._near()), *self._none()}:
            return f"the tag {TRAFFIC} was changed to {traffic!r}"
        return ""

    def _near(self) -> range:
        return range(max(self.state.step - 1, 0), self.state.step + 1)

    def _none(self) -> set[str]:
        return {""} if self.state.step == 0 else set()

    def _write(self, registry: Registry, state: State) -> None:
        self.state = state.model_copy(update={"sign": datetime.now(UTC)})
        states.write(registry, self.state)
        self._signed = time.monotonic()

    def _record(self, registry: Registry, action: str, why: str, figures: Sequence[Mapping[str, Any]] = ()) -> None:
        state = self.state
        canaries.record(registry, action, state.challenger, state.champion, state.percent, why, figures)
