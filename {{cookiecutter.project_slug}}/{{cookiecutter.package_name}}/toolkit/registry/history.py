"""The history of the champion: one event for each decision, kept as tags of the registered model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..common.errors import UserError
from ..common.names import CHAMPION, GATE_RESULTS, TRAINED_BY
from ..common.tag_text import line, parsed, tag_json
from . import canaries, event_tags
from .client import Registry, find
from .identity import Person, person

#: Prefixes of the tags of an event, and of what it rests on; the time follows, and what differs for two at one moment.
#: Earlier releases read the keys of the first one, and fail if there are others.
HISTORY, EVIDENCE = "history.", "evidence."
#: The actions of an event; a version is forced if its gates had failed, approved if it was the champion already.
PROMOTED, FORCED, ROLLED_BACK, APPROVED = "promoted", "forced", "rolled back", "approved"


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
        by = f"{line(self.action)} by {line(self.who)}: {line(self.why)}"
        if self.action == APPROVED:
            return f"Version {self.target} stays {CHAMPION} ({by})."
        before = f", instead of version {self.source}" if self.source else ""
        return f"Version {self.target} is {CHAMPION} now{before} ({by})."

    @property
    def moment(self) -> datetime | None:
        """When it was, None if the tag has no time with its zone."""
        try:
            found = datetime.fromisoformat(self.when)
        except ValueError:
            return None
        return found if found.tzinfo else None


class Evidence(NamedTuple):
    """What a decision rests on: the files by their digest, who trained them, and the results of the gates.

    `approved` is whether it was an approval, `confirmed` whether the MLflow server vouches for who decided.
    """

    digest: str = ""
    trained_by: str = ""
    confirmed: bool = False
    approved: bool = False
    gates: Sequence[Mapping[str, Any]] = ()


def move_champion(
    registry: Registry,
    target: int,
    action: str,
    why: str,
    gates: list[dict[str, Any]] | None = None,
    *,
    approved: bool = False,
    user: Person | None = None,
) -> Event:
    """Set the alias `champion` to a version and record the event; `UserError` if somebody else set it meanwhile.

    `gates` are the results that the decision rests on, by default those of the version's training; `user` is who
    decided, by default the current user.
    """
    versions, user = registry.versions(), user or person()
    version, current = find(versions, str(target)), find(versions, CHAMPION)
    digest, tags = (version.digest, version.tags) if version else ("", {})
    results = _objects(parsed(tags.get(GATE_RESULTS, "")).get("gates") if gates is None else gates)
    if action != APPROVED:
        registry.set_alias(CHAMPION, target)
    source = current.number if current else None
    evidence = Evidence(digest, tags.get(TRAINED_BY, ""), user.confirmed, approved, results)
    event = _record(registry, user, Event("", user.name, action, source, target, why), evidence)
    now = registry.find(CHAMPION)
    if now is None or now.number != target:
        raise UserError(
            f"Version {target} was {action}, but {f'version {now.number}' if now else 'no version'} is {CHAMPION}: "
            "somebody else changed it at the same moment. make history shows who."
        )
    if action != APPROVED:
        canaries.end_by_champion(registry, target)
    return event


def _record(registry: Registry, user: Person, event: Event, evidence: Evidence) -> Event:
    # After the alias was set: of two writers, the later one then has the later event, but for milliseconds.
    now = datetime.now(UTC)
    event = event._replace(when=now.isoformat(timespec="seconds"))
    key = event_tags.moment(now)
    registry.set_tag(f"{HISTORY}{key}", tag_json(event._asdict(), "why"))
    registry.set_tag(f"{EVIDENCE}{key}", tag_json(evidence._asdict(), "gates"))
    return event


def events(registry: Registry) -> list[Event]:
    """Return the changes of the champion, oldest first, without those that somebody has damaged."""
    return [event for event, _ in recorded(registry.tags()).values() if event]


def last_move(tags: Mapping[str, str], champion: int) -> Event | None:
    """Return the event that made a version the champion; None if the alias was moved by other means since."""
    moves = champion_moves(tags)
    return moves[-1] if moves and moves[-1].target == champion else None


def champion_moves(tags: Mapping[str, str]) -> list[Event]:
    """Return the events that made another version the champion, oldest first."""
    return [event for event, _ in recorded(tags).values() if event and event.action != APPROVED]


def recorded(tags: Mapping[str, str]) -> dict[str, tuple[Event | None, Evidence | None]]:
    """Return the events by their tags, oldest first; None if somebody has damaged it, or if there is no evidence."""
    found = event_tags.recorded(Event, tags, HISTORY)
    return {key: (event, _evidence(tags.get(EVIDENCE + key.removeprefix(HISTORY), ""))) for key, event in found.items()}


def _evidence(text: str) -> Evidence | None:
    """Return the evidence in a tag, None if there is none."""
    content = parsed(text)
    if not {"digest", "gates"} <= set(content):
        return None
    gates = _objects(content["gates"])
    texts = {key: str(content.get(key, "")) for key in ("digest", "trained_by")}
    return Evidence(
        **texts, confirmed=content.get("confirmed") is True, approved=content.get("approved") is True, gates=gates
    )


def _objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list from a tag, none if it is something else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def champions(events: Iterable[Event]) -> list[int]:
    """Return the champions that a rollback can return to, oldest first; the last is the current one."""
    stack: list[int] = []
    for event in events:
        if event.source is not None and (not stack or stack[-1] != event.source):
            stack.append(event.source)  # the alias was set in MLflow itself, which records no event
        if event.action == APPROVED:
            continue
        earlier = [i for i, number in enumerate(stack[:-1]) if number == event.target]
        if event.action == ROLLED_BACK and earlier:
            del stack[earlier[-1] + 1 :]
        else:
            stack.append(event.target)
    return stack
