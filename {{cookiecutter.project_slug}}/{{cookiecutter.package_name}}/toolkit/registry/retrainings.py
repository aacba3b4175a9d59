"""The trainings that monitoring has asked for, kept as tags of the registered model: one tag for each attempt.

An attempt is written by the process that makes it and by no other, so parallel writers overwrite nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..common.tag_text import parsed, tag_json
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
#: A time further ahead is no clock that is fast: somebody has changed the tag.
FUTURE = timedelta(days=1)


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
    tag = f"{PREFIX}{now:%Y%m%dT%H%M%S.%f}.{secrets.token_hex(4)}"
    write(registry, tag, attempt)
    return tag


def write(registry: Registry, tag: str, attempt: Retraining) -> None:
    """Write the tag of an attempt."""
    registry.set_tag(tag, tag_json(attempt._asdict(), "result"))


def recorded(tags: Mapping[str, str]) -> dict[str, Retraining | None]:
    """Return the attempts by their tags, oldest first; None if somebody has damaged it."""
    return {key: _attempt(tags[key]) for key in sorted(tags) if key.startswith(PREFIX)}


def _attempt(text: str) -> Retraining | None:
    """Return the attempt in a tag, None if it is not one."""
    content = parsed(text)
    try:
        attempt = Retraining(**{name: content[name] for name in Retraining._fields})
        valid = attempt.time <= datetime.now(UTC) + FUTURE
    except (KeyError, TypeError, ValueError):  # a time without a zone cannot be compared
        return None
    texts = all(isinstance(value, str) for value in attempt._replace(version=""))  # type: ignore[arg-type]
    return attempt if valid and texts and type(attempt.version) is int and attempt.state in STATES else None
