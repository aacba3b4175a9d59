"""The history of the champion: one event for each change, kept as a tag of the registered model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from ..common.names import CHAMPION
from .client import Registry
from .identity import who

#: Prefix of the tags; one tag for each event, so that two writers never overwrite each other.
HISTORY = "history."
#: The actions of an event; a version is forced if its gates had failed.
PROMOTED, FORCED, ROLLED_BACK = "promoted", "forced", "rolled back"


class Event(NamedTuple):
    """One change of the champion: when (UTC, ISO 8601), by whom, from which version to which, and why."""

    when: str
    who: str
    action: str
    source: int | None
    target: int
    why: str

    def sentence(self) -> str:
        """Return the event in one sentence."""
        before = f", instead of version {self.source}" if self.source else ""
        return f"Version {self.target} is {CHAMPION} now{before} ({self.action} by {self.who}: {self.why})."


def move_champion(registry: Registry, target: int, action: str, why: str) -> Event:
    """Set the alias `champion` to a version and record the event."""
    current, now = registry.find(CHAMPION), datetime.now(UTC)
    event = Event(
        when=now.isoformat(timespec="seconds"),
        who=who(),
        action=action,
        source=current.number if current else None,
        target=target,
        why=why,
    )
    registry.set_alias(CHAMPION, target)
    registry.set_tag(f"{HISTORY}{now:%Y%m%dT%H%M%S.%f}", json.dumps(event._asdict()))
    return event


def events(registry: Registry) -> list[Event]:
    """Return the changes of the champion, oldest first."""
    tags = registry.tags()
    return [Event(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(HISTORY)]


def champions(events: Iterable[Event]) -> list[int]:
    """Return the champions that a rollback can return to, oldest first; the last is the current one."""
    stack: list[int] = []
    for event in events:
        if event.source is not None and (not stack or stack[-1] != event.source):
            stack.append(event.source)  # the alias was set in MLflow itself, which records no event
        earlier = [i for i, number in enumerate(stack[:-1]) if number == event.target]
        if event.action == ROLLED_BACK and earlier:
            del stack[earlier[-1] + 1 :]
        else:
            stack.append(event.target)
    return stack
