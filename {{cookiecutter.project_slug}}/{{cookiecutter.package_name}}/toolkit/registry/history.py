"""The history of the champion, kept as tags of the registered model."""

from __future__ import annotations

from typing import NamedTuple

#: Registered-model tags that make up the history; one tag an event, so that two writers never overwrite each other.
HISTORY = "history."


class Event(NamedTuple):
    """One change of the champion: who, when, from, to, why."""

    when: str
    who: str
    action: str
    source: int | None
    target: int
    why: str
