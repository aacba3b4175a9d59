"""Checks that find what is wrong: each is bounded in time, and none hides what another one finds."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from .errors import UserError, explain_missing_extras, explain_os_errors
from .redaction import print_traceback, redact

#: Name of the threads in which checks run.
THREAD = "doctor"


class Finding(NamedTuple):
    """What a check found, in one sentence, with what to do unless it is ok; `check` is its name."""

    level: Literal["ok", "warning", "error"]
    text: str
    check: str = ""


class Check(NamedTuple):
    """A function that yields findings, within some seconds; `hint` says what to do if it does not end."""

    name: str
    function: Callable[[], Iterable[Finding]]
    seconds: float = 30
    hint: str = "make doctor again; if it stays so, look at the load and the disks of this machine"


def ok(text: str) -> Finding:
    """Return that something is as it should be."""
    return Finding("ok", text)


def warning(text: str) -> Finding:
    """Return what works, but should be different."""
    return Finding("warning", text)


def error(text: str) -> Finding:
    """Return what is broken."""
    return Finding("error", text)


def examine(checks: Sequence[Check]) -> list[Finding]:
    """Run checks at once, and return their findings in the order of the checks; no check raises."""
    started = [_Running(check) for check in checks]
    begin = time.monotonic()
    return [finding for running in started for finding in running.findings(begin)]


def hang() -> bool:
    """Whether checks still run that were given up: nothing in Python can end a thread that waits for a server."""
    return any(thread.name == THREAD and thread.is_alive() for thread in threading.enumerate())


class _Running:
    """A check that runs in a thread."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        self._thread.start()

    def findings(self, begin: float) -> list[Finding]:
        """Wait until the check has ended, or its time since `begin` has, and return what it has found."""
        self._thread.join(max(0.0, begin + self._check.seconds - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            found.append(error(f"no answer within {self._check.seconds:g} s: {self._check.hint}"))
        return [Finding(level, _line(text), self._check.name) for level, text, _ in found]

    def _run(self) -> None:
        try:
            with explain_missing_extras(), explain_os_errors():
                for finding in self._check.function():
                    self._found.append(finding)
        except UserError as problem:
            self._found.append(error(str(problem)))
        except Exception as problem:  # whatever it is: the other checks go on
            if os.environ.get("DEBUG"):
                print_traceback(problem)
            text = f"the check failed ({type(problem).__name__}: {problem}); DEBUG=1 shows where"
            self._found.append(error(text))


def _line(text: str) -> str:
    """Return a text as one line without secrets."""
    return redact(" ".join(line.strip() for line in text.splitlines() if line.strip()))
