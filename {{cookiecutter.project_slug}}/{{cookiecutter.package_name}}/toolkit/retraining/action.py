"""A request becomes a training, once: announced in the registry, started by a trigger, and recorded there.

MLflow's tags have no compare-and-set. So each process looks whether a training may be started, writes a claim, waits,
and reads all claims: the first one wins, and the others are withdrawn. Of two processes that did not see each other's
claim when they looked, both see both after the wait, since a claim that is written too late is withdrawn as well.
Whose clock is right does not matter.
"""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic, sleep

from ..common.errors import UserError
from ..common.names import DATA
from ..registry import history, retrainings
from ..registry.client import Registry
from ..registry.errors import mlflow_errors
from ..registry.identity import who
from ..registry.retrainings import FAILED, STARTED, UNANSWERED, Retraining
from .limits import Limits
from .local import Local
from .request import Outcome, Request, Trigger, UnansweredError

#: Seconds from the first look at the registry within which a claim must be written, and then until the second look.
WAIT = 5.0


def act(registry: Registry, request: Request, trigger: Trigger, limits: Limits, *, wait: float = WAIT) -> Outcome:
    """Start a training, unless a limit is reached, and return what became of it; a trigger that fails is an outcome."""
    user, begin = who(), monotonic()
    if obstacle := _obstacle(registry, request, limits):
        return Outcome("skipped", f"No training is started: {obstacle}.")
    now = datetime.now(UTC)
    attempt = Retraining(
        when=now.isoformat(timespec="seconds"),
        who=user,
        state=retrainings.CLAIMED,
        trigger=trigger.name,
        version=request.version,
        key=request.key,
        why=request.reason,
        run=request.run,
    )
    tag = retrainings.claim(registry, attempt, now)
    if (seconds := monotonic() - begin) > wait:
        registry.delete_tag(tag)
        late = f"MLflow at {registry.uri} took {seconds:.0f} s to read and write tags, and may take {wait:g} s"
        return Outcome("failed", f"No training is started: {late}. Try again: make monitor")
    sleep(wait)
    if obstacle := _obstacle(registry, request, limits, before=tag):
        registry.delete_tag(tag)
        return Outcome("skipped", f"No training is started, another process was faster: {obstacle}.")
    return _start(registry, request, trigger, tag, attempt)


def _obstacle(registry: Registry, request: Request, limits: Limits, before: str = "") -> str:
    """Return why no training may be started, "" if nothing is in the way; of claims, those before a tag count alone."""
    rows = {version.number: version.tags.get(DATA, "") for version in registry.versions()}
    tags = registry.tags()
    events = [event for event, _ in history.recorded(tags).values() if event]
    attempts = [
        attempt for tag, attempt in retrainings.recorded(tags).items() if attempt and (not before or tag < before)
    ]
    return limits.obstacle(request, attempts, events, rows, datetime.now(UTC))


def _start(registry: Registry, request: Request, trigger: Trigger, tag: str, attempt: Retraining) -> Outcome:
    """Start a training, and record what became of it."""
    try:
        start = trigger.start(request, tag)
    except UserError as error:
        state = UNANSWERED if isinstance(error, UnansweredError) else FAILED
        return Outcome("failed", str(error) + _end(registry, tag, attempt._replace(state=state, result=str(error))))
    except BaseException as error:
        # A request may have arrived; a training on this machine has ended.
        state = FAILED if isinstance(trigger, Local) else UNANSWERED
        _end(registry, tag, attempt._replace(state=state, result=f"interrupted ({type(error).__name__})"))
        raise
    result = "; ".join(text for text in start if text)
    missing = _end(registry, tag, attempt._replace(state=STARTED, result=result))
    return Outcome("started", f"A training was started by {trigger.name}{f': {result}' if result else ''}.{missing}")


def _end(registry: Registry, tag: str, attempt: Retraining) -> str:
    """Record how an attempt ended; of failures for the same reason, the last is kept.

    Return what is said if that fails, "" if not: what became of the training must be heard all the same.
    """
    try:
        with mlflow_errors(registry.uri):
            retrainings.write(registry, tag, attempt)
            if attempt.state == FAILED:
                _forget_failures(registry, tag, attempt.key)
    except UserError as error:
        return f" This is not recorded, so the same reason waits for a day: {error}"
    return ""


def _forget_failures(registry: Registry, tag: str, key: str) -> None:
    """Delete the failures for a reason before a tag."""
    for other, earlier in retrainings.recorded(registry.tags()).items():
        if other < tag and earlier and (earlier.state, earlier.key) == (FAILED, key):
            registry.delete_tag(other)
