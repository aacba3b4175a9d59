"""Requests to services whose answers are bounded: one that is endless, or comes byte by byte, holds up no command."""

from __future__ import annotations

import time
from typing import Any

import httpx

#: Headers that are no longer so of a body that was read.
OF_TRANSFER = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def ask(
    method: str,
    url: str,
    timeout: httpx.Timeout,
    most_bytes: int = 1_000_000,
    *,
    follow_redirects: bool = False,
    **content: Any,
) -> httpx.Response:
    """Return an answer with what comes of its body within `timeout.read` seconds, up to a number of bytes.

    Its extension "complete" is whether that is all of it.
    """
    with (
        httpx.Client(timeout=timeout, follow_redirects=follow_redirects) as client,
        client.stream(method, url, **content) as answer,
    ):
        deadline, body, complete = time.monotonic() + (timeout.read or 0), bytearray(), True
        for part in answer.iter_bytes():
            body += part
            if len(body) > most_bytes or time.monotonic() > deadline:
                complete = False
                break
        headers = [(name, value) for name, value in answer.headers.multi_items() if name not in OF_TRANSFER]
        content_read, extensions = bytes(body[:most_bytes]), {"complete": complete}
        return httpx.Response(answer.status_code, headers=headers, content=content_read, extensions=extensions)
