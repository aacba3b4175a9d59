"""The audit log: what the registry recorded of the champion, deployments and retrainings, and can tell of the rest.

An entry is an object with always the same keys, null where one does not apply; `docs/promotion.md` explains them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from ..common.names import CHAMPION
from ..common.numbers import short
from ..common.tag_text import line
from . import canaries, deployments, history, retrainings
from .canaries import CanaryEvent
from .client import RegisteredVersion, find
from .deployments import DeploymentEvent, Failure
from .event_tags import Kind
from .history import Event, Evidence
from .retrainings import Retraining

#: The actions of entries that nobody recorded: the alias moved by other means, and a tag that is no entry.
MOVED, UNREADABLE = "moved", "unreadable"
#: The kinds of entries beside "champion": a deployment, one that failed, a canary's decision, a retraining.
DEPLOYMENT, ROLLOUT, CANARY, RETRAINING = "deployment", "rollout", "canary", "retraining"
#: Seconds between two promotions that may have been at the same moment.
MOMENT = 10


class Entry(BaseModel):
    """One entry; `until` is when a deployment ended."""

    kind: str
    action: str
    when: str | None = None
    until: str | None = None
    who: str | None = None
    confirmed: bool | None = None
    why: str | None = None
    version: int | None = None
    previous: int | None = None
    digest: str | None = None
    trained_by: str | None = None
    approved: bool | None = None
    forced: bool | None = None
    gates: list[dict[str, Any]] | None = None
    target: str | None = None
    place: str | None = None
    serves: str | None = None
    image: str | None = None
    percent: int | None = None
    figures: list[dict[str, Any]] | None = None
    tag: str | None = None

    def sentence(self) -> str:
        """Return an entry of the champion, a canary or a retraining, in one sentence."""
        if self.action == UNREADABLE:
            return f"The tag {line(self.tag or '')} cannot be read: somebody has changed it."
        if self.kind == CANARY:
            text = f"Canary of version {self.version} beside {self.previous} at {self.percent} %: {line(self.action)}"
            why = f": {line(self.why)}" if self.why else ""
            return f"{text} by {line(self.who or '')}{why}."
        if self.kind == RETRAINING:
            what = f"A training to replace version {self.version} {retrainings.STATES[self.action]}"
            more = f"; {line(self.place)}" if self.place else ""
            return f"{what} (by {line(self.target or '')} for {line(self.who or '')}: {line(self.why or '')}{more})."
        if self.action == MOVED:
            now = f"Version {self.version} became {CHAMPION}" if self.version else f"No version was {CHAMPION} any more"
            before = f", instead of version {self.previous}" if self.previous else ""
            return f"{now}{before} (moved outside of make promote: who, when and why are not recorded)."
        event = Event("", self.who or "", self.action, self.previous, self.version or 0, self.why or "")
        return event.sentence()

    def evidence(self) -> str:
        """Return in one line what an entry of the champion or of a canary rests on, "" if nothing is recorded."""
        if self.figures:
            return "; ".join(_figure(figure) for figure in self.figures)
        if self.digest is None:
            return ""
        parts = [f"digest {line(self.digest)[:12] or 'none'}", f"trained by {line(self.trained_by or '') or 'unknown'}"]
        parts += ["approved"] if self.approved else []
        parts += ["name confirmed by the server"] if self.confirmed else []
        gates = ", ".join(_gate(gate) for gate in self.gates or [])
        return "; ".join(parts) + (f"; gates: {gates}" if gates else "")


def _gate(gate: Mapping[str, Any]) -> str:
    """Return the result of a gate as it was recorded, by whichever release or hand."""
    better, low, high = (gate.get(key) for key in ("better", "low", "high"))
    text = f"{gate.get('metric')} {short(gate.get('value'))} ({gate.get('bound')}"
    if better == low == high == 0:
        text += "; no difference"
    elif better is not None:
        text += f"; better by {short(better)}" + (f", {short(low)} to {short(high)}" if low is not None else "")
    return line(f"{text})") + ("" if gate.get("passed") is True else " FAILED")


def _figure(figure: Mapping[str, Any]) -> str:
    """Return a figure of a canary as it was recorded, by whichever release or hand."""
    challenger, champion, low, high = (_short(figure.get(key)) for key in ("challenger", "champion", "low", "high"))
    text = f"{figure.get('criterion')} {challenger} instead of {champion} ({low} to {high}: {figure.get('verdict')})"
    return line(text)


def _short(value: object) -> str:
    """Return a number with three significant digits, and anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def entries(tags: Mapping[str, str], versions: Iterable[RegisteredVersion]) -> list[Entry]:
    """Return all entries, oldest first, of the tags of the model and of its versions."""
    versions = list(versions)
    champion = find(versions, CHAMPION)
    found = [
        *_of_champion(history.recorded(tags), champion.number if champion else None),
        *_of_deployments(tags),
        *_of_tags(CANARY, canaries.recorded(tags), _canary),
        *_of_tags(RETRAINING, retrainings.recorded(tags), _retraining),
        *(_rollout(version, failure) for version in versions for failure in deployments.failures(version)),
    ]
    # What has no time stays where it is among the entries of the champion.
    times, last = [], ""
    for entry in found:
        last = entry.when or last
        times.append(last)
    return [found[i] for i in sorted(range(len(found)), key=lambda i: times[i])]


def _of_champion(recorded: Mapping[str, tuple[Event | None, Evidence | None]], champion: int | None) -> Iterator[Entry]:
    """Yield the entries of the champion, with moves of the alias that were not recorded."""
    current: int | None = None
    earlier: Event | None = None
    before: Event | None = None
    for tag, (event, evidence) in recorded.items():
        if event is None:
            yield Entry(kind=CHAMPION, action=UNREADABLE, tag=tag)
            continue
        if event.source != current and not (before and _at_once(before, event)):
            yield Entry(kind=CHAMPION, action=MOVED, version=event.source, previous=current)
        current, earlier, before = event.target, before, event
        yield _decision(tag, event, evidence)
    if champion != current and not (before and earlier and earlier.target == champion and _at_once(earlier, before)):
        yield Entry(kind=CHAMPION, action=MOVED, version=champion, previous=current)


def _at_once(first: Event, second: Event) -> bool:
    """Whether two promotions replaced the same champion at the same moment, each without knowing of the other."""
    try:
        seconds = (datetime.fromisoformat(second.when) - datetime.fromisoformat(first.when)).total_seconds()
    except (ValueError, TypeError):
        return False
    return first.source == second.source and abs(seconds) <= MOMENT


def _decision(tag: str, event: Event, evidence: Evidence | None) -> Entry:
    entry = Entry(
        kind=CHAMPION,
        action=event.action,
        when=event.when,
        who=event.who,
        why=event.why,
        version=event.target,
        previous=event.source,
        forced=event.action == history.FORCED,
        tag=tag,
    )
    return entry.model_copy(update=evidence._asdict()) if evidence else entry


def _of_tags(kind: str, recorded: Mapping[str, Kind | None], entry: Callable[[Kind], Entry]) -> Iterator[Entry]:
    """Yield the entry of each event of a kind, by their tags."""
    for tag, event in recorded.items():
        found = entry(event) if event else Entry(kind=kind, action=UNREADABLE)
        yield found.model_copy(update={"tag": tag})


def _of_deployments(tags: Mapping[str, str]) -> Iterator[Entry]:
    recorded = deployments.recorded(tags)
    ends = {id(event): until for event, until in deployments.periods(event for event in recorded.values() if event)}
    return _of_tags(DEPLOYMENT, recorded, lambda event: _deployment(event, ends.get(id(event), "")))


def _deployment(event: DeploymentEvent, until: str) -> Entry:
    return Entry(
        kind=DEPLOYMENT,
        action=event.action,
        when=event.when,
        until=until or None,
        who=event.who,
        version=event.champion or None,
        target=event.target,
        place=event.place,
        serves=event.serves or None,
        image=event.image or None,
    )


def _canary(event: CanaryEvent) -> Entry:
    return Entry(kind=CANARY, **event._asdict())


def _retraining(attempt: Retraining) -> Entry:
    return Entry(
        kind=RETRAINING,
        action=attempt.state,
        when=attempt.when,
        who=attempt.who,
        why=attempt.why,
        version=attempt.version,
        target=attempt.trigger,
        place=attempt.result or None,
    )


def _rollout(version: RegisteredVersion, failure: Failure) -> Entry:
    return Entry(
        kind=ROLLOUT,
        action="failed",
        when=failure.when,
        who=failure.who,
        why=failure.reason,
        version=version.number,
        target=failure.target,
        place=failure.place,
    )
