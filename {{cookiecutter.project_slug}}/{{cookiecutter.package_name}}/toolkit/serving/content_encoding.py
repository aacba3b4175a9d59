"""Compressed bodies: decoded up to a limit, whatever they would become."""

from __future__ import annotations

import zlib

from ..common.errors import RejectedError

#: The codings that are decoded; zlib finds out which of the two a body has.
CODINGS = {b"gzip", b"x-gzip", b"deflate"}
#: zlib's window, plus 32: with the header of gzip or of zlib.
WINDOW_BITS = 15 + 32


def decode(body: bytes, limit: int) -> bytes | None:
    """Return a compressed body as it was, None if it has more bytes than the limit; `RejectedError` (400)."""
    parts, size = [], 0
    try:
        while body:
            # A gzip file may have several members, one after the other.
            member = zlib.decompressobj(WINDOW_BITS)
            parts.append(member.decompress(body, limit + 1 - size))
            size += len(parts[-1])
            if size > limit:
                return None
            if not member.eof:
                raise RejectedError(400, "the body is not what its Content-Encoding says: it ends too early")
            body = member.unused_data
    except zlib.error as error:
        raise RejectedError(400, f"the body is not what its Content-Encoding says: {error}") from None
    return b"".join(parts)


def check(coding: bytes) -> None:
    """Raise `RejectedError` (415) for a coding that is not decoded."""
    if coding not in CODINGS:
        raise RejectedError(415, f"content encoding {coding[:60].decode('latin-1')!r}: send gzip, deflate or none")
