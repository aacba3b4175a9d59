"""Reading, scoring and writing overlap: batches are scored by all processors given, and come out in their order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

#: Batches that wait for a thread, so that none is idle while one is written.
WAITING = 2
CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")

T = TypeVar("T")
R = TypeVar("R")


def processors() -> int:
    """Return how many processors this process may use: those that it may run on, within the container's limit."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = CPU_LIMIT.read_text().split()
        count = min(count, max(1, int(quota) // int(period)))
    return count


def in_order(items: Iterable[T], work: Callable[[T], R], threads: int) -> Iterator[R]:
    """Yield `work(item)` for each item, in order; the items are read in a thread, and worked on in others.

    At most `threads` and a few more are held at a time. An error of reading or working is raised in its turn.
    """
    with ThreadPoolExecutor(threads, "score") as pool, _ReadAhead(items) as ahead:
        waiting: deque[Future[R]] = deque()
        try:
            for item in ahead:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= threads + WAITING:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class _ReadAhead(Iterator[T]):
    """Reads the next item in a thread while the one before it is in use."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._pool = ThreadPoolExecutor(1, "read")
        self._next = self._pool.submit(next, self._items, None)

    def __enter__(self) -> _ReadAhead[T]:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def __next__(self) -> T:
        item = self._next.result()
        if item is None:
            raise StopIteration
        self._next = self._pool.submit(next, self._items, None)
        return item
