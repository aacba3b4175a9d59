"""What people see: steps with their times, tables, the next command."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class Step:
    """A step that is under way; `detail` is shown behind its name when it is done."""

    detail = ""

    def __init__(self, name: str, status: Status | None = None) -> None:
        self._name, self._status = name, status

    def progress(self, text: str) -> None:
        """Show how far the step is, where a person is watching."""
        if self._status:
            self._status.update(f"{self._name}: {text}")


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Show a step while it runs, then its detail and its time."""
    start = time.perf_counter()
    if out.is_terminal:
        with out.status(name) as status:
            current = Step(name, status)
            yield current
    else:
        current = Step(name)
        yield current
    took = f"{time.perf_counter() - start:5.1f} s"
    out.print(f"[green]✓[/] {name:<10} [dim]{took}[/]  {escape(current.detail)}", soft_wrap=True)


def say(text: str = "", style: str = "") -> None:
    """Print a line as it is: no markup in it, never broken, so that it can be copied."""
    out.print(text, style=style, markup=False, soft_wrap=True)


def next_steps(*steps: tuple[str, str]) -> None:
    """Print what to run next, and why."""
    say("\nNext:")
    width = max(len(command) for command, _ in steps)
    for command, why in steps:
        out.print(f"  [bold]{escape(command):<{width}}[/]  [dim]{escape(why)}[/]", soft_wrap=True)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are set right."""
    grid = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    for i, heading in enumerate(headings):
        grid.add_column(heading, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    out.print(grid, soft_wrap=True)
