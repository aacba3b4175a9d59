"""Parsing of request bodies: small ones at once, large ones in a thread beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..contract.json_rows import SMALL_BODY_BYTES

#: Rows from which on an answer is made in the thread too.
LARGE_ROWS = 500
# One thread: the event loop waits for at most one other, and the memory of one parsed body is needed at a time.
THREAD = ThreadPoolExecutor(1, "parse")

Result = TypeVar("Result")


async def beside(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function in the thread."""
    return await asyncio.get_running_loop().run_in_executor(THREAD, function, *arguments)


async def parse(function: Callable[..., Result], body: bytes, *arguments: Any) -> Result:
    """Call a function that parses a body: at once, or in the thread if the body is large."""
    if len(body) <= SMALL_BODY_BYTES:
        return function(body, *arguments)
    return await beside(function, body, *arguments)
