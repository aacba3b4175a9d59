"""A request to train again: which version is to be replaced, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol

from ..common.errors import UserError
from ..common.redaction import redact
from ..common.tag_text import line

#: The words of an outcome: a training was started; none was, for a limit; none was, since no trigger is set; it failed.
State = Literal["started", "skipped", "reported", "failed"]
#: What a request may carry; each service that takes one has a limit of its own, far above.
MOST_RULES, MOST_TEXT = 20, 200


class Request(NamedTuple):
    """The reason of a training, as data: nothing in it is ever a command."""

    model: str
    version: int
    #: The reason in one sentence, for people.
    reason: str
    #: The rules of model/quality.py that fired, each in a few words that are the same the next time.
    rules: tuple[str, ...] = ()
    #: The MLflow run that has the report.
    run: str = ""

    @classmethod
    def of(cls, model: str, version: int, reason: str, rules: Iterable[str] = (), run: str = "") -> Request:
        """Return a request whose texts are one line each, redacted, and of limited length."""
        kept = sorted({_text(rule) for rule in rules})[:MOST_RULES]
        return cls(_text(model), version, line(redact(reason)), tuple(kept), _text(run))

    @property
    def key(self) -> str:
        """What makes two requests for one version the same: the rules, whatever their figures are."""
        return hashlib.sha256("\n".join(self.rules).encode()).hexdigest()[:16]


class Start(NamedTuple):
    """A training that was started: where to look at it, and what is known of its end."""

    where: str
    result: str = ""


class UnansweredError(UserError):
    """A training was asked for, and it is not known whether it started."""


class Trigger(Protocol):
    """What starts a training. `claim` names the attempt: a service that is asked twice starts one training."""

    name: str

    def start(self, request: Request, claim: str) -> Start:
        """Start a training; `UserError` if it did not start or failed, `UnansweredError` if that is not known."""


class Outcome(NamedTuple):
    """What became of a request, in a word and in one sentence."""

    state: State
    sentence: str


def _text(value: str) -> str:
    return line(redact(value))[:MOST_TEXT]
