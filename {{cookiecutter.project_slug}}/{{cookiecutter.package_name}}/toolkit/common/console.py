"""Output on the terminal: steps with their duration, tables, the next commands. Passwords in addresses are redacted."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from .errors import UserError
from .redaction import print_traceback, redact

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
#: Characters of a line of a table.
MOST_WIDTH = 1000


class Step:
    """A step in progress; `detail` is shown after its name when it is complete."""

    detail = ""

    def __init__(self, name: str, status: Status | None = None) -> None:
        self._name, self._status = name, status

    def progress(self, text: str) -> None:
        """Show progress, if the output is a terminal."""
        if self._status:
            self._status.update(escape(redact(f"{self._name}: {text}")))


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Show a step while it runs; at the end, its duration and detail."""
    start = time.perf_counter()
    if out.is_terminal:
        with out.status(name) as status:
            current = Step(name, status)
            yield current
    else:
        current = Step(name)
        yield current
    done(name, time.perf_counter() - start, current.detail)


def done(name: str, seconds: float, detail: str) -> None:
    """Print that a step is complete."""
    text = f"[green]✓[/] {name:<10} [dim]{duration(seconds, 1):>7}[/]  {escape(redact(detail))}"
    out.print(text, soft_wrap=True)


def duration(seconds: float, digits: int = 0) -> str:
    """Return a duration as text, such as "4 min 5 s"; below a minute, seconds have so many digits after the point."""
    if round(seconds, digits) < 60:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = (hours, "h"), (minutes, "min"), (0 if hours else rest, "s")
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def say(text: str = "", style: str = "") -> None:
    """Print a line without markup and without line breaks of its own, so that it can be copied."""
    out.print(redact(text), style=style, markup=False, soft_wrap=True)


def warn(text: str) -> None:
    """Print a warning on one line."""
    say(f"Warning: {text}", "yellow")


def show_error(error: Exception) -> None:
    """Print a `UserError` in its own words; any other error, or every one with DEBUG, with its traceback."""
    if not isinstance(error, UserError) or os.environ.get("DEBUG"):
        print_traceback(error)
        return
    err.print("Error:", style="bold red", end=" ")
    err.print(str(error), markup=False, soft_wrap=True)


def next_steps(*steps: tuple[str, str]) -> None:
    """Print the next commands, each with its purpose."""
    say("\nNext:")
    width = max(len(command) for command, _ in steps)
    for command, purpose in steps:
        text = f"  [bold]{escape(command):<{width}}[/]  [dim]{escape(purpose)}[/]"
        out.print(redact(text), soft_wrap=True)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], styles: Mapping[str, str] | None = None) -> None:
    """Print a table; the first column is aligned left, the others right.

    `styles` has the style of each text that is coloured where it is in the last column.
    """
    grid = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    for i, heading in enumerate(headings):
        grid.add_column(Text(heading), justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        *cells, last = (Text(redact(cell)) for cell in row)
        last.stylize((styles or {}).get(last.plain, ""))
        grid.add_row(*cells, last)
    # Its own width, or rich would cut columns to the terminal's, which is 80 characters where there is none.
    grid.width = out.measure(grid, options=out.options.update(width=MOST_WIDTH)).maximum
    out.print(grid, soft_wrap=True)
