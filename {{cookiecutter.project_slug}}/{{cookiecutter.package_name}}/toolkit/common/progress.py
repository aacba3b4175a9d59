"""The progress of long work: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from . import console

#: Seconds between two lines where the output is no terminal, such as a scheduler's log.
LINE_SECONDS = 15.0


class Meter:
    """How far a step has come: how many things are done of it, how fast, and how long it will take."""

    #: What is shown after the step's name when it is complete.
    detail = ""

    def __init__(self, things: str, show: Callable[[str, float], None]) -> None:
        self._things, self._show = things, show
        self._start = time.monotonic()
        self.count = 0

    def update(self, new: int, share: float, note: str = "") -> None:
        """Count things that are done now; `share` is that of the whole work, from 0 to 1; `note` is shown too."""
        self.count += new
        seconds = max(time.monotonic() - self._start, 1e-9)
        # With all of it done, the work waits for something else, which the note says.
        left = f", {console.duration(seconds * (1 - share) / share)} left" if 0 < share < 1 else ""
        slow = 0 < self.count < seconds
        speed = f"{seconds / self.count:.1f} s each" if slow else f"{self.count / seconds:,.0f} a second"
        self._show(f"{self.count:,} {self._things}, {speed}{left}{f'; {note}' if note else ''}", share)


@contextmanager
def step(name: str, things: str) -> Iterator[Meter]:
    """Show a step that works on many things while it runs; at the end, its duration and detail."""
    start = time.monotonic()
    if console.out.is_terminal:
        columns = SpinnerColumn(), TextColumn("{task.fields[title]}"), BarColumn(), TextColumn("{task.description}")
        with Progress(*columns, console=console.out, transient=True) as bar:
            task = bar.add_task("", total=1.0, title=name)
            current = Meter(things, lambda text, share: bar.update(task, description=text, completed=share))
            yield current
    else:
        current = Meter(things, _lines(name))
        yield current
    console.done(name, time.monotonic() - start, current.detail)


def _lines(name: str) -> Callable[[str, float], None]:
    last = time.monotonic()

    def show(text: str, share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            console.say(f"{name}: {share:4.0%}  {text}")

    return show
