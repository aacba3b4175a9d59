"""The canary in progress: kept in one tag of the model, so that it goes on where it was, wherever that is.

One tag, since MLflow replaces one at a time: whenever the process is killed, step and counts belong together.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

import psutil
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..common.errors import UserError
from ..common.names import CHAMPION
from ..common.tag_text import MOST
from ..monitoring.version_counts import VersionCounts
from ..registry.canaries import STATE
from ..registry.client import Registry

#: Seconds after which a canary that has given no sign is one whose process has ended.
STALE_SECONDS = 60.0


class Mark(BaseModel):
    """A moment: when, and what a service had counted of each version by then since its start (seconds since 1970).

    It has no counts where Prometheus knows them.
    """

    model_config = ConfigDict(frozen=True)

    time: AwareDatetime
    started: float = 0.0
    counts: dict[int, VersionCounts] = {}


class State(BaseModel):
    """A canary in progress: its versions, steps, weights and counts, and the process that works on it, if one does."""

    model_config = ConfigDict(frozen=True)

    challenger: int
    champion: int
    steps: tuple[int, ...]
    #: The position of the current step, and the challenger's percentage in it.
    step: int = Field(0, ge=0)
    percent: int = 0
    #: The tag `traffic` as the canary has set it.
    traffic: str = ""
    #: The beginning of the current step, None until its weights are served.
    mark: Mark | None = None
    #: The beginning of the canary, with the counts of labels alone: these are counted from there on.
    begin: Mark | None = None
    #: What the champion has counted in all steps before.
    before: VersionCounts = VersionCounts()
    #: host:process:secret, "" if no process works on it; and when that gave its last sign.
    holder: str = ""
    sign: AwareDatetime

    @model_validator(mode="after")
    def _in_steps(self) -> Self:
        if self.step >= len(self.steps):
            raise ValueError(f"there is no step {self.step}")
        return self

    def in_step(self, step: int) -> State:
        """Return the state of a step. The challenger is named by number, since its alias moves with each training."""
        percent = self.steps[step]
        rest = f"{CHAMPION}={100 - percent}," if percent < 100 else ""
        return self.model_copy(
            update={"step": step, "percent": percent, "traffic": f"{rest}{self.challenger}={percent}"}
        )

    def next_step(self, before: VersionCounts) -> State:
        """Return the state after the current step, whose weights stay until the next one is entered."""
        return self.model_copy(update={"step": self.step + 1, "mark": None, "before": before})

    def marked(self, mark: Mark) -> State:
        """Return the state after counting has begun in a step."""
        counts = {number: mark.counts[number] for number in (self.champion, self.challenger) if number in mark.counts}
        labels = {number: one.feedback for number, one in counts.items()}
        return self.model_copy(
            update={
                "mark": mark.model_copy(update={"counts": counts}),
                "begin": self.begin or mark.model_copy(update={"counts": labels}),
            }
        )

    @property
    def weights(self) -> dict[int, int]:
        """The traffic weights as the service reports them."""
        weights = {self.champion: 100 - self.percent, self.challenger: self.percent}
        return {number: percent for number, percent in weights.items() if percent}

    def is_held(self) -> bool:
        """Whether a process works on it: one that gave a sign lately, and of this machine one that runs."""
        if not self.holder:
            return False
        host, pid, *_ = [*self.holder.split(":"), "", ""]
        if host == socket.gethostname() and pid.isdigit() and not psutil.pid_exists(int(pid)):
            return False
        return (datetime.now(UTC) - self.sign).total_seconds() < STALE_SECONDS


def new_holder() -> str:
    """Return the name of this process among those that may work on a canary."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


def read(tags: Mapping[str, str]) -> State | None:
    """Return the canary in progress, None if there is none; `UserError` if its tag was damaged."""
    if STATE not in tags:
        return None
    try:
        return State.model_validate_json(tags[STATE])
    except ValidationError as error:
        raise UserError(
            f"The tag {STATE} of the model cannot be read: somebody has changed it. make canary ARGS=--abort removes it"
        ) from error


def write(registry: Registry, state: State) -> None:
    """Keep the state of a canary; without counts that do not fit into a tag, which begin anew after an interruption."""
    unmarked = state.model_copy(update={"mark": None, "begin": None})
    texts = map(_text, (state, unmarked, unmarked.model_copy(update={"before": VersionCounts()})))
    registry.set_tag(STATE, next(text for text in texts if len(text) <= MOST))


def _text(state: State) -> str:
    # Reference shares are no counts.
    marks = {"counts": {"__all__": {"reference"}}}
    return state.model_dump_json(
        exclude_defaults=True, exclude={"mark": marks, "begin": marks, "before": {"reference"}}
    )
