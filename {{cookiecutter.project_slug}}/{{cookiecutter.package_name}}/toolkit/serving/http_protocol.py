"""HTTP as uvicorn reads it, with a limit on the time that a caller may take to send a request."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .errors import message_json
from .limits import COMPLETE, READ_SECONDS

#: For a body the application has the same limit, and answers in the form of the protocol; so it comes first.
BODY_MARGIN_SECONDS = 2.0


class TimedHttpProtocol(HttpToolsProtocol):
    """Closes a connection on which a request takes too long to arrive, with 408 if the header is unfinished."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self._seconds: float = self.app_state.get(READ_SECONDS, 0)
        self._since, self._in_header = self.loop.time(), False
        self._timer: asyncio.TimerHandle | None = None
        self._schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        super().connection_lost(exc)
        if self._timer:
            self._timer.cancel()

    def on_message_begin(self) -> None:
        """Restart the clock."""
        super().on_message_begin()
        self._since, self._in_header = self.loop.time(), True

    def on_headers_complete(self) -> None:
        """Note that the body is next."""
        super().on_headers_complete()
        self._in_header = False

    def on_message_complete(self) -> None:
        """Note that no more is to come."""
        super().on_message_complete()
        self.scope[COMPLETE] = True  # type: ignore[literal-required]

    def on_response_complete(self) -> None:
        """Restart the clock."""
        super().on_response_complete()
        self._since = self.loop.time()

    def _schedule(self) -> None:
        # Not a timer for each request: most arrive at once, and a timer costs more than they may.
        if self._seconds:
            self._timer = self.loop.call_later(self._seconds / 4, self._check)

    def _check(self) -> None:
        transport: Any = self.transport
        if transport.is_closing() or transport.get_protocol() is not self:  # it is a WebSocket now
            return
        cycle = self.cycle
        in_progress = cycle is not None and not cycle.response_complete
        late = self.loop.time() - self._since - self._seconds
        if in_progress and not (cycle.more_body and late > BODY_MARGIN_SECONDS):
            self._schedule()  # the caller waits for the application, or that for the body
        elif in_progress or late > 0:
            if self._in_header and not in_progress:
                transport.write(self._timeout_answer())
            transport.close()
        else:
            self._schedule()

    def _timeout_answer(self) -> bytes:
        content = message_json(f"the header did not arrive within {self._seconds:g} s (READ_SECONDS)")
        header = (
            "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
        )
        return header.encode() + content
