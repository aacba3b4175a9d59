"""A request becomes a training, once: announced in the registry, started by a trigger, and recorded there.

MLflow's tags have no compare-and-set. So each process writes a claim of its own, waits, and reads all claims: the
earliest wins, and the others are withdrawn. Two start a training only if one of them was held up for more than the wait
between taking its time and writing its claim, or if its clock is that much behind.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ..common.errors import UserError
from ..common.names import DATA
from ..registry import history, retrainings
from ..registry.client import Registry
from ..registry.identity import who
from ..registry.retrainings import FAILED, STARTED, UNANSWERED, Retraining
from .limits import Limits
from .request import Outcome, Request, Trigger, UnansweredError

#: Seconds between a claim and the decision whose is the earliest.
WAIT = 2.0


def act(registry: Registry, request: Request, trigger: Trigger, limits: Limits, *, wait: float = WAIT) -> Outcome:
    """Start a training, unless a limit is reached, and return what became of it; a trigger that fails is an outcome."""
    if obstacle := _obstacle(registry, request, limits):
        return Outcome("skipped", f"No training is started: {obstacle}.")
    user, now = who(), datetime.now(UTC)
    when = now.isoformat(timespec="seconds")
    attempt = Retraining(
        when, user, retrainings.CLAIMED, trigger.name, request.version, request.key, request.reason, request.run
    )
    tag = retrainings.claim(registry, attempt, now)
    time.sleep(wait)
    if obstacle := _obstacle(registry, request, limits, before=tag):
        registry.delete_tag(tag)
        return Outcome("skipped", f"No training is started, another process was faster: {obstacle}.")
    try:
        start = trigger.start(request, tag)
    except UserError as error:
        state = UNANSWERED if isinstance(error, UnansweredError) else FAILED
        _end(registry, tag, attempt._replace(state=state, result=str(error)))
        return Outcome("failed", str(error))
    except BaseException as error:  # the request may have arrived
        _end(registry, tag, attempt._replace(state=UNANSWERED, result=f"interrupted ({type(error).__name__})"))
        raise
    result = "; ".join(text for text in start if text)
    _end(registry, tag, attempt._replace(state=STARTED, result=result))
    return Outcome("started", f"A training was started by {trigger.name}{f': {result}' if result else ''}.")


def _obstacle(registry: Registry, request: Request, limits: Limits, before: str = "") -> str:
    """Return why no training may be started, "" if nothing is in the way; of claims, those before a tag count alone."""
    tags = registry.tags()
    events = [event for event, _ in history.recorded(tags).values() if event]
    attempts = [
        attempt for tag, attempt in retrainings.recorded(tags).items() if attempt and (not before or tag < before)
    ]
    rows = {version.number: version.tags.get(DATA, "") for version in registry.versions()}
    return limits.obstacle(request, attempts, events, rows, datetime.now(UTC))


def _end(registry: Registry, tag: str, attempt: Retraining) -> None:
    """Record how an attempt ended; of failures for the same reason, the last is kept."""
    retrainings.write(registry, tag, attempt)
    if attempt.state != FAILED:
        return
    for other, earlier in retrainings.recorded(registry.tags()).items():
        if other < tag and earlier and (earlier.state, earlier.key) == (FAILED, attempt.key):
            registry.delete_tag(other)
