"""Ending by a signal as by Ctrl-C: what is open is closed, and what is unfinished is removed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What ends a job: a scheduler or container engine, and a terminal that is closed.
SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Terminated(SystemExit):
    """The process was told to end by a signal; the exit code is 128 and the signal's number, as a shell has it."""


@contextmanager
def terminable() -> Iterator[None]:
    """Have the signals that end a process raise `Terminated` in the block."""

    def stop(number: int, frame: FrameType | None) -> None:
        # Once: a second signal must not end the cleaning up.
        for one in SIGNALS:
            signal.signal(one, signal.SIG_IGN)
        raise Terminated(128 + number)

    before = [(number, signal.getsignal(number)) for number in SIGNALS]
    for number, handler in before:
        # What is ignored stays so: nohup.
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
