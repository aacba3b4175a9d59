"""How often a training may be started: once for the same reason, not before a cooldown is over, so many a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ..registry.history import APPROVED, Event
from ..registry.retrainings import CLAIMED, FAILED, STARTED, Retraining
from .request import Request

DAY = timedelta(days=1)


class Limits(NamedTuple):
    """The limits: hours between two trainings, and how many there are at most within 24 hours."""

    cooldown_hours: float
    daily_cap: int

    def obstacle(
        self,
        request: Request,
        attempts: Iterable[Retraining],
        events: Sequence[Event],
        rows: Mapping[int, str],
        now: datetime,
    ) -> str:
        """Return in a clause why no training is started now, "" if nothing is in the way.

        `rows` has the digest of the rows of each version's training.
        A failed attempt is none. One without an answer counts for the daily cap alone: it may have started a training.
        """
        counted = [attempt for attempt in attempts if attempt.state != FAILED]
        begun = [attempt for attempt in counted if attempt.state in (STARTED, CLAIMED)]
        changed = _last_change(events)
        for attempt in (one for one in begun if one.key == request.key):
            if attempt.version != request.version:
                if rows.get(request.version) and rows[request.version] == rows.get(attempt.version):
                    return (
                        f"version {request.version} was trained for the same rules, on the same rows as version "
                        f"{attempt.version}; have load() in model/data.py return newer ones"
                    )
                continue
            # A process that ended with its claim must not keep others from the same reason forever.
            lasting = attempt.state == STARTED or now - attempt.time < DAY
            if lasting and (changed is None or attempt.time >= changed):
                return (
                    f"version {request.version} and the same rules had a training on {minute(attempt.time)} already, "
                    "and there is no other champion since"
                )
        if begun:
            until = max(attempt.time for attempt in begun) + timedelta(hours=self.cooldown_hours)
            if now < until:
                return f"RETRAIN_COOLDOWN_HOURS={self.cooldown_hours:g} are over on {minute(until)} only"
        recent = [attempt for attempt in counted if now - attempt.time < DAY]
        if len(recent) >= self.daily_cap:
            return f"{len(recent)} of RETRAIN_DAILY_CAP={self.daily_cap} were started or asked for in the last 24 hours"
        return ""


def minute(time: datetime) -> str:
    """Return a time (UTC) to the minute."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _last_change(events: Sequence[Event]) -> datetime | None:
    """Return when the champion changed last, None if that is not recorded."""
    for event in reversed(events):
        try:
            if event.action != APPROVED and (time := datetime.fromisoformat(event.when)).tzinfo:
                return time
        except ValueError:
            continue
    return None
