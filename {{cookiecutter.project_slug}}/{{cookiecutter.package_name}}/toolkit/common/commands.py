"""Programs that a command runs, with their output as progress."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from .errors import UserError

#: Lines of a program's output that are shown when it fails.
SHOWN_LINES = 15


def run(command: Sequence[str], progress: Callable[[str], None] = lambda line: None) -> str:
    """Return what a program prints, shown line by line on the way; `UserError` has its last lines if it fails."""
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            progress(lines[-1][:80])
    if process.returncode:
        name = " ".join([command[0].rpartition("/")[2], *command[1:2]])
        raise UserError(f"{name} ended with exit code {process.returncode}. Its last lines:\n{last_lines(lines)}")
    return "\n".join(lines)


def last_lines(lines: Sequence[str]) -> str:
    """Return the end of an output, indented."""
    return "\n".join(f"  {line}" for line in lines[-SHOWN_LINES:])
