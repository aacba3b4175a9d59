"""How often a training may be started: once for the same reason, not before a cooldown is over, so many a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ..registry.history import APPROVED, Event
from ..registry.retrainings import FAILED, STARTED, Retraining
from .request import Request

#: For so long, a claim or a request without an answer counts as a training; and clocks differ by less.
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
        A failed attempt is none. A claim, or a request without an answer, may have started a training.
        """
        counted = [attempt for attempt in attempts if attempt.state != FAILED]
        changed = _last_change(events)
        for attempt in (one for one in counted if one.key == request.key):
            if attempt.version != request.version:
                if rows.get(request.version) and rows[request.version] == rows.get(attempt.version):
                    return (
                        f"version {request.version} was trained for the same rules, on the same rows as version "
                        f"{attempt.version}; have load() in model/data.py return newer ones, then run make train"
                    )
                continue
            is_sure = attempt.state == STARTED
            # A process that ended with its claim must not keep others from the same reason forever.
            if (is_sure or abs(now - attempt.time) < DAY) and (changed is None or attempt.time >= changed):
                had = "had" if is_sure else "may have had"
                return (
                    f"version {request.version} and the same rules {had} a training on {minute(attempt.time)} already, "
                    "and there is no other champion since"
                )
        # A time that is further ahead is that of a clock that was wrong: no cooldown lasts until then.
        times = [attempt.time for attempt in counted if attempt.time < now + DAY]
        if times and now < (until := max(times) + timedelta(hours=self.cooldown_hours)):
            return f"RETRAIN_COOLDOWN_HOURS={self.cooldown_hours:g} are over on {minute(until)} only"
        recent = sum(now - time < DAY for time in times)
        if recent >= self.daily_cap:
            return f"{recent} of RETRAIN_DAILY_CAP={self.daily_cap} were started or asked for in the last 24 hours"
        return ""


def minute(time: datetime) -> str:
    """Return a time (UTC) to the minute."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _last_change(events: Sequence[Event]) -> datetime | None:
    """Return when the champion changed last, None if that is not recorded."""
    return next((event.moment for event in reversed(events) if event.action != APPROVED and event.moment), None)
