"""The beginning of a canary: a new one, or one that was interrupted; and its end by hand."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ..common.errors import UserError
from ..common.names import CHALLENGER, CHAMPION, TRAFFIC
from ..registry import canaries
from ..registry.client import RegisteredVersion, Registry
from . import state as states
from .state import State

ABORT = "make canary ARGS=--abort"
#: Seconds in which others may begin too: of several, the one that wrote last goes on.
CLAIM_SECONDS = 1.0


def begin(registry: Registry, reference: str, steps: tuple[int, ...]) -> State:
    """Return the state of a canary that this process works on from now on; `UserError` says why there is none.

    `reference` is the challenger's number or alias; with "", the canary in progress goes on, or the challenger has one.
    """
    state = states.read(registry.tags())
    version = registry.get(reference or CHALLENGER) if reference or state is None else None
    begun = _resume(state, version) if state else _new(registry, version, steps)
    states.write(registry, begun)
    time.sleep(CLAIM_SECONDS)
    kept = states.read(registry.tags())
    if kept is None or kept.holder != begun.holder:
        raise _begun_twice(registry)
    if state is None:
        canaries.record(registry, canaries.STARTED, begun.challenger, begun.champion, 0, f"steps {_list(steps)}")
    return begun


def abort(registry: Registry, why: str) -> int:
    """Give the champion all traffic again, and return the challenger's number; a process that works on it then ends."""
    tags = registry.tags()
    if canaries.STATE not in tags:
        raise UserError(f"No canary of {registry.name} is in progress.")
    try:
        state = states.read(tags)
    except UserError:
        state = None
    canaries.end(registry, tags)
    if state is None:
        raise UserError(f"Its tag was damaged, and is removed now. Look at the tag {TRAFFIC}, then: make deploy")
    canaries.record(registry, canaries.ABORTED, state.challenger, state.champion, state.percent, why)
    return state.challenger


def _resume(state: State, version: RegisteredVersion | None) -> State:
    """Return the state of a canary that was interrupted, for this process."""
    place = f"A canary of version {state.challenger} is in progress, at {state.percent} %"
    if state.is_held():
        raise UserError(f"{place}: {state.holder.rpartition(':')[0]} works on it. To take it back: {ABORT}")
    if version and version.number != state.challenger:
        raise UserError(
            f"{place}. Finish it first by make canary VERSION={state.challenger}, or take it back by {ABORT}"
        )
    return state.model_copy(update={"holder": states.new_holder(), "sign": datetime.now(UTC)})


def _new(registry: Registry, version: RegisteredVersion | None, steps: tuple[int, ...]) -> State:
    """Return the state of a canary before its first step."""
    champion, tags = registry.find(CHAMPION), registry.tags()
    traffic = tags.get(TRAFFIC, "")
    assert version is not None
    if canaries.STATE in tags:
        raise _begun_twice(registry)
    if champion is None:
        raise UserError(
            f"{registry.name} has no {CHAMPION} to compare with, so there is no canary. First: make promote "
            f"VERSION={version.number}"
        )
    if champion.number == version.number:
        raise UserError(
            f"Version {version.number} is the {CHAMPION} already, so there is nothing to try. make train makes a "
            f"{CHALLENGER}; with CANARY=1 it stays one until its canary has passed."
        )
    if traffic:
        raise UserError(
            f"The tag {TRAFFIC} of the model splits the traffic already ({traffic}), and no canary has set it. Remove "
            "it in MLflow first."
        )
    return State(
        challenger=version.number,
        champion=champion.number,
        steps=steps,
        holder=states.new_holder(),
        sign=datetime.now(UTC),
    )


def _begun_twice(registry: Registry) -> UserError:
    return UserError(f"Another make canary of {registry.name} has begun at the same moment, so this one ends.")


def _list(steps: tuple[int, ...]) -> str:
    return ", ".join(f"{step} %" for step in steps)
