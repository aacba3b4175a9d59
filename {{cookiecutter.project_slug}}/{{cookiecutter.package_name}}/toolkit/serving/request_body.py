"""Bodies of requests: read within limits of their size, of the bytes in flight, and of time."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Scope

from ..common.errors import RejectedError
from . import content_encoding
from .limits import COMPLETE, Limits
from .parsing import beside

#: A body of one message of this size needs no count: MAX_WAITING bounds them.
SMALL_BYTES = 65_536
#: Where the scope has the number of bytes that the request holds.
HELD = "bytes_in_flight"


class DisconnectedError(Exception):
    """The caller has gone before its request was complete."""


class BodyReader:
    """Reads bodies, and counts the bytes that the requests in progress hold."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._small = limits, min(SMALL_BYTES, limits.max_bytes)
        self.bytes_in_flight = 0

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """Return the body of a request, without its compression.

        Call `release` when the request has ended.

        Raises:
            RejectedError: 413 for more bytes than MAX_BYTES, 429 if all bodies together have more than
                MAX_BYTES_IN_FLIGHT, 408 if the body takes longer than READ_SECONDS, 415 for an unknown compression.
            DisconnectedError: if the caller has gone.
        """
        headers = dict(scope["headers"])
        coding: bytes = headers.get(b"content-encoding", b"").strip().lower()
        if COMPLETE in scope and not coding:  # the usual case, in as few steps as possible
            message = await receive()
            body: bytes = message.get("body", b"")
            if len(body) <= self._small and not message.get("more_body"):
                return body
            return await self._rest(scope, receive, message)
        announced: bytes = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._limits.max_bytes:
            raise self._too_large()
        return await (self._decoded(scope, receive, coding) if coding else self._timed(scope, receive))

    async def _decoded(self, scope: Scope, receive: Receive, coding: bytes) -> bytes:
        """Return a body without its compression."""
        if coding == b"identity":
            return await self._timed(scope, receive)
        content_encoding.check(coding)
        compressed, limit = await self._timed(scope, receive), self._limits.max_bytes
        body = await beside(content_encoding.decode, compressed, limit)
        if body is None:
            raise self._too_large()
        self.release(scope)
        return self._hold(scope, body)

    async def _timed(self, scope: Scope, receive: Receive) -> bytes:
        # A timer would cost a tenth of a small request, so those that are complete have none.
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                return await self._rest(scope, receive, await receive())
        except TimeoutError:
            seconds = self._limits.read_seconds
            raise RejectedError(408, f"the body did not arrive within {seconds:g} s (READ_SECONDS)") from None

    def release(self, scope: Scope) -> None:
        """Forget the bytes of a request."""
        self.bytes_in_flight -= scope.pop(HELD, 0)

    async def _rest(self, scope: Scope, receive: Receive, message: Message) -> bytes:
        """Return a body that begins with a message."""
        chunks = [self._chunk(scope, message)]
        while message.get("more_body"):
            message = await receive()
            chunks.append(self._chunk(scope, message))
        return b"".join(chunks)

    def _chunk(self, scope: Scope, message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        return self._hold(scope, message.get("body", b""))

    def _hold(self, scope: Scope, chunk: bytes) -> bytes:
        """Return a part of a body after it was counted."""
        held = scope[HELD] = scope.get(HELD, 0) + len(chunk)
        self.bytes_in_flight += len(chunk)
        if held > self._limits.max_bytes:
            raise self._too_large()
        # A request alone is answered, whatever the limit.
        if self.bytes_in_flight > self._limits.max_bytes_in_flight and self.bytes_in_flight > held:
            text = "the requests in progress have too many bytes together (MAX_BYTES_IN_FLIGHT); try again in a moment"
            raise RejectedError(429, text)
        return chunk

    def _too_large(self) -> RejectedError:
        return RejectedError(413, f"the body is larger than {self._limits.max_bytes} bytes (MAX_BYTES)")


def without_encoding(scope: Scope, body: bytes) -> None:
    """Have a request's header describe the body that was read."""
    kept = [(k, v) for k, v in scope["headers"] if k not in (b"content-encoding", b"content-length")]
    scope["headers"] = [*kept, (b"content-length", b"%d" % len(body))]


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read already, then what comes after it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
