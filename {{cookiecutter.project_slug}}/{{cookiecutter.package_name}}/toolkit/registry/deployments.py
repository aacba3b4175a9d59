"""The history of deployments, kept as tags: of the registered model for events, of versions for failed rollouts.

An event is never changed: what ran at a place ends with the next event there. So two writers overwrite nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from ..common.tag_text import tag_json
from . import event_tags
from .client import RegisteredVersion, Registry
from .identity import who

#: Prefixes of the tags of the model, and of the tags of a version; the target and the place follow.
DEPLOYMENT, FAILED = "deployment.", "deployment.failed."
#: The actions of an event.
DEPLOYED, ROLLED_BACK, REMOVED = "deployed", "rolled back", "removed"


class DeploymentEvent(NamedTuple):
    """One deployment or removal: when (UTC, ISO 8601), by whom, where, and what runs since; "" or 0 if nothing does."""

    when: str
    who: str
    action: str
    target: str
    place: str
    champion: int
    #: All versions with aliases, traffic weights and shadows, in one line.
    serves: str
    #: The image by its digest, "" for a target without one.
    image: str


class Failure(NamedTuple):
    """A failed rollout: when (UTC, ISO 8601), by whom, where, why; `attempt` identifies what was tried."""

    when: str
    who: str
    target: str
    place: str
    attempt: str
    reason: str


def record(
    registry: Registry, target: str, place: str, action: str, *, champion: int = 0, serves: str = "", image: str = ""
) -> None:
    """Record an event; one that changes nothing at its place is left out."""
    now = datetime.now(UTC)
    event = DeploymentEvent(_text(now), who(), action, target, place, champion, serves, image)
    before = [other for other in events(registry) if (other.target, other.place) == (target, place)]
    if before and before[-1][3:] == event[3:]:
        return
    registry.set_tag(f"{DEPLOYMENT}{event_tags.moment(now)}", tag_json(event._asdict(), "serves"))


def events(registry: Registry) -> list[DeploymentEvent]:
    """Return the deployments and removals at all places, oldest first, without those that somebody has damaged."""
    return [event for event in recorded(registry.tags()).values() if event]


def recorded(tags: Mapping[str, str]) -> dict[str, DeploymentEvent | None]:
    """Return the deployments and removals in the tags of a model, oldest first; None where somebody has damaged one."""
    return event_tags.recorded(DeploymentEvent, tags, DEPLOYMENT)


def periods(events: Iterable[DeploymentEvent]) -> list[tuple[DeploymentEvent, str]]:
    """Return the deployments, oldest first, each with the time at which it ended, "" if it still runs."""
    found: list[tuple[DeploymentEvent, str]] = []
    current: dict[tuple[str, str], int] = {}
    for event in events:
        where = event.target, event.place
        if where in current:
            index = current.pop(where)
            found[index] = found[index][0], event.when
        if event.action != REMOVED:
            current[where] = len(found)
            found.append((event, ""))
    return found


def tag_failure(registry: Registry, version: int, target: str, place: str, attempt: str, reason: str) -> None:
    """Tag a version with the reason why its rollout failed at a place."""
    failure = Failure(_text(datetime.now(UTC)), who(), target, place, attempt, reason)
    registry.set_version_tags(version, {_failure_tag(target, place): tag_json(failure._asdict(), "reason")})


def remove_failure(registry: Registry, version: RegisteredVersion, target: str, place: str) -> None:
    """Remove the tag of a failed rollout, if a version has it."""
    if _failure_tag(target, place) in version.tags:
        registry.delete_version_tag(version.number, _failure_tag(target, place))


def failures(version: RegisteredVersion) -> list[Failure]:
    """Return the places where the last rollout of a version failed, with the reasons."""
    return [failure for failure in event_tags.recorded(Failure, version.tags, FAILED).values() if failure]


def _failure_tag(target: str, place: str) -> str:
    return FAILED + re.sub(r"[^\w.-]", "-", f"{target}.{place}")[:200]


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
