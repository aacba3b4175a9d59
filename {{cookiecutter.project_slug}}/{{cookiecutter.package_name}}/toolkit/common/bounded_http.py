"""Requests to services whose answers are bounded: one that is endless, or comes byte by byte, holds up no command."""

from __future__ import annotations

import asyncio
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

    These are all seconds that the request takes; `httpx.ReadTimeout` if not even all headers come within them. The
    answer's extension "complete" is whether all of the body came.
    """
    # httpx bounds each read alone, and without asyncio nothing ends a read from outside.
    return asyncio.run(_ask(method, url, timeout, most_bytes, follow_redirects, content))


async def _ask(
    method: str, url: str, timeout: httpx.Timeout, most_bytes: int, follow_redirects: bool, content: dict[str, Any]
) -> httpx.Response:
    answer, body, complete = None, bytearray(), False
    async with httpx.AsyncClient(timeout=timeout, follow_redirects=follow_redirects) as client:
        try:
            async with asyncio.timeout(timeout.read), client.stream(method, url, **content) as answer:
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > most_bytes:
                        break
                else:
                    complete = True
        except TimeoutError:
            if answer is None:
                raise httpx.ReadTimeout(f"no answer within {timeout.read:g} s") from None
    headers = [(name, value) for name, value in answer.headers.multi_items() if name not in OF_TRANSFER]
    return httpx.Response(
        answer.status_code, headers=headers, content=bytes(body[:most_bytes]), extensions={"complete": complete}
    )
