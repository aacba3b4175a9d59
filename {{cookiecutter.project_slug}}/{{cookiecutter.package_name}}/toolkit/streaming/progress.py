"""Progress on the terminal: a line now and then while messages arrive, and one at the end."""

from __future__ import annotations

import time

from ..common import console
from ..monitoring.stream_counters import StreamCounters

#: Seconds between two lines.
PERIOD = 10.0


class Progress:
    """Says how many messages were scored, how fast, and how many wait."""

    def __init__(self, counters: StreamCounters) -> None:
        self._counters = counters
        self._shown, self._messages = time.monotonic(), 0

    def show(self) -> None:
        """Print a line, if the output is a terminal, time has passed and messages have arrived."""
        now, messages = time.monotonic(), self._counters.messages
        if now - self._shown < PERIOD or messages == self._messages:
            return
        if console.out.is_terminal:
            rate = (messages - self._messages) / (now - self._shown)
            console.say(f"{time.strftime('%H:%M:%S')}  {self._summary()}, {rate:,.0f} a second")
        self._shown, self._messages = now, messages

    def end(self) -> None:
        """Print what was done, at the end."""
        console.say(f"Stopped: {self._summary()}. All offsets are committed.")

    def _summary(self) -> str:
        counters = self._counters
        return f"{counters.messages:,} messages, {counters.rejected:,} rejected, {sum(counters.lag.values()):,} waiting"
