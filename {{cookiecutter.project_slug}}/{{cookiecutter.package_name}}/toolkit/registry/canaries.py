"""Canaries in the registry: what each has decided, on which figures, and which one is in progress; tags of the model.

`canary.event.<time>` is a decision and never changed; `canary.state` is the canary in progress, whose content is in
`toolkit/canary/state.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..common.names import CANARY, TRAFFIC
from ..common.tag_text import parsed, tag_json
from . import event_tags
from .client import Registry
from .identity import who

EVENT, STATE = f"{CANARY}event.", f"{CANARY}state"
#: The actions of an event: it began, a step passed, all did, the challenger was worse or could not be judged, somebody
#: took it back, somebody else changed champion or traffic, it waits for an approval.
STARTED, PASSED, PROMOTED, WENT_BACK, ABORTED, ENDED, WAITS = (
    "started",
    "step passed",
    "promoted",
    "went back",
    "aborted",
    "ended",
    "waits for approval",
)


class CanaryEvent(NamedTuple):
    """A decision: when (UTC, ISO 8601), by whom, which versions, the challenger's percentage, why, on which figures."""

    when: str
    who: str
    action: str
    version: int
    previous: int
    percent: int
    why: str
    figures: Sequence[Mapping[str, Any]] = ()


def record(
    registry: Registry,
    action: str,
    version: int,
    previous: int,
    percent: int,
    why: str = "",
    figures: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Record a decision of a canary."""
    now = datetime.now(UTC)
    event = CanaryEvent(
        now.isoformat(timespec="seconds"), who(), action, version, previous, percent, why[:1000], list(figures)
    )
    registry.set_tag(f"{EVENT}{event_tags.moment(now)}", tag_json(event._asdict(), "figures"))


def recorded(tags: Mapping[str, str]) -> dict[str, CanaryEvent | None]:
    """Return the decisions in the tags of a model, oldest first; None where somebody has damaged one."""
    return event_tags.recorded(CanaryEvent, tags, EVENT)


def end(registry: Registry, tags: Mapping[str, str]) -> None:
    """Remove the traffic weights of the canary in progress, unless somebody else has set others, and its state."""
    if STATE not in tags:
        return
    if tags.get(TRAFFIC, "") == parsed(tags[STATE]).get("traffic"):
        registry.delete_tag(TRAFFIC)
    registry.delete_tag(STATE)


def end_by_champion(registry: Registry, target: int) -> None:
    """End the canary in progress, if there is one, since a version was made champion."""
    tags = registry.tags()
    state = parsed(tags.get(STATE, ""))
    if STATE not in tags:
        return
    version, previous = _number(state.get("challenger")), _number(state.get("champion"))
    end(registry, tags)
    if version == target:
        record(registry, PROMOTED, version, previous, 100, "")
    else:
        percent = _number(state.get("percent"))
        record(registry, ENDED, version, previous, percent, f"version {target} was made champion")


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
