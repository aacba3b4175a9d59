"""The trainings that monitoring has asked for, kept as tags of the registered model: one tag for each attempt.

An attempt is written by the process that makes it and by no other, so parallel writers overwrite nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from ..common.tag_text import tag_json
from . import event_tags
from .client import Registry

#: The prefix of the tags; the time follows, and what differs for two at one moment.
PREFIX = "retraining."
#: The states of an attempt: announced, but not known to have begun; begun; known not to have begun, or to have failed;
#: asked for, without an answer.
CLAIMED, STARTED, FAILED, UNANSWERED = "claimed", "started", "failed", "unanswered"
STATES = {
    CLAIMED: "was about to be started",
    STARTED: "was started",
    FAILED: "failed or could not be started",
    UNANSWERED: "was asked for, without an answer",
}


class Retraining(NamedTuple):
    """One attempt: when (UTC, ISO 8601), by whom, its state, and by what trigger; for which version, and why.

    `key` is the same for the same rules. `result` says where the training is to be seen, or why there is
    none.
    """

    when: str
    who: str
    state: str
    trigger: str
    version: int
    key: str
    why: str
    run: str = ""
    result: str = ""

    @property
    def time(self) -> datetime:
        """When it was."""
        return datetime.fromisoformat(self.when)


def claim(registry: Registry, attempt: Retraining, now: datetime) -> str:
    """Announce an attempt, and return its tag; of two tags, the one that sorts first is the earlier one."""
    tag = f"{PREFIX}{event_tags.moment(now)}"
    write(registry, tag, attempt)
    return tag


def write(registry: Registry, tag: str, attempt: Retraining) -> None:
    """Write the tag of an attempt."""
    registry.set_tag(tag, tag_json(attempt._asdict(), "result"))


def recorded(tags: Mapping[str, str]) -> dict[str, Retraining | None]:
    """Return the attempts by their tags, oldest first; None if somebody has damaged it."""
    found = event_tags.recorded(Retraining, tags, PREFIX)
    return {key: attempt if attempt and _is_valid(attempt) else None for key, attempt in found.items()}


def _is_valid(attempt: Retraining) -> bool:
    try:
        return attempt.state in STATES and attempt.time.tzinfo is not None
    except ValueError:
        return False
