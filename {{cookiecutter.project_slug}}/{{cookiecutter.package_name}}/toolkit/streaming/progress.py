"""Progress: a line now and then while messages arrive, and one at the end."""

from __future__ import annotations

import time

from ..common import console
from ..monitoring.stream_counters import StreamCounters

#: Seconds between two lines on a terminal, and elsewhere, such as in a container's log.
PERIOD, LOG_PERIOD = 10.0, 60.0


class Progress:
    """Says how many messages were scored, how fast, and how many wait."""

    def __init__(self, counters: StreamCounters) -> None:
        self._counters = counters
        self._shown, self._messages = time.monotonic(), 0

    def show(self) -> None:
        """Print a line, if time has passed and messages have arrived."""
        now, messages = time.monotonic(), self._counters.messages
        period = PERIOD if console.out.is_terminal else LOG_PERIOD
        if now - self._shown < period or messages == self._messages:
            return
        rate = (messages - self._messages) / (now - self._shown)
        console.say(f"{time.strftime('%H:%M:%S')}  {self._summary()}, {rate:,.0f} a second")
        self._shown, self._messages = now, messages

    def end(self) -> None:
        """Print what was done, at the end."""
        console.say(f"Stopped: {self._summary()}. All offsets are committed.")

    def _summary(self) -> str:
        counters = self._counters
        return f"{counters.messages:,} messages, {counters.rejected:,} rejected, {sum(counters.lag.values()):,} waiting"
