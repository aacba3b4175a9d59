"""Micro-batches: requests that arrive while a model is busy are scored together as soon as it is free.

There is no waiting window: a request that finds the model idle is scored at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from ..contract.columns import Columns, concatenate
from ..version.runtime import Runtime

#: Rows in one batch of several callers; in a larger one the first callers would wait too long for the last.
MAX_BATCH_ROWS = 1000


class _Entry(NamedTuple):
    """The rows of one caller, and the future that gets their predictions."""

    rows: int
    columns: Columns
    future: asyncio.Future[Columns]


class Batcher:
    """Scores the rows of many callers with one model.

    Python code, a model or the features before one, runs in a thread beside the event loop; the requests that arrive
    meanwhile are the next batch. An ONNX model takes microseconds, less than handing it to a thread: the requests of
    one turn of the loop are its batch.
    Only a batch with more rows than those of several callers may have runs in a thread too.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._threaded = runtime.threaded
        self._queue: deque[_Entry] = deque()
        #: Whether the queue is being worked on, or will be in the next turn of the loop.
        self._busy = False
        self._task: asyncio.Task[None] | None = None

    async def score(self, rows: int, columns: Columns) -> Columns:
        """Return the predictions for the rows of one caller; an error of the model for them reaches no other caller."""
        loop = asyncio.get_running_loop()
        entry = _Entry(rows, columns, loop.create_future())
        self._queue.append(entry)
        if not self._busy:
            self._busy = True
            # A call-back, since a task costs a tenth of a request.
            loop.call_soon(self._work)
        return await entry.future

    def _work(self) -> None:
        while self._queue:
            batch = self._next()
            if self._threaded or sum(entry.rows for entry in batch) >= MAX_BATCH_ROWS:
                # The event loop alone would not keep the task.
                self._task = asyncio.create_task(self._work_beside(batch))
                return
            _deliver(batch, self._score(batch))
        self._busy = False

    async def _work_beside(self, batch: list[_Entry]) -> None:
        """Score a batch in a thread, and then those that have arrived meanwhile."""
        try:
            _deliver(batch, await asyncio.to_thread(self._score, batch))
        except asyncio.CancelledError:
            self._busy = False
            raise
        self._work()

    def _next(self) -> list[_Entry]:
        batch = [self._queue.popleft()]
        rows = batch[0].rows
        while self._queue and rows + self._queue[0].rows <= MAX_BATCH_ROWS:
            batch.append(self._queue.popleft())
            rows += batch[-1].rows
        return batch

    def _score(self, batch: list[_Entry]) -> list[Columns | Exception]:
        """Return the predictions of each entry, or its error."""
        try:
            predictions = self._runtime.score(concatenate([entry.columns for entry in batch]))
        except Exception as error:
            # One at a time, so that only the rows that fail get the error.
            return [error] if len(batch) == 1 else [result for entry in batch for result in self._score([entry])]
        if len(batch) == 1:
            return [predictions]
        results: list[Columns | Exception] = []
        start = 0
        for entry in batch:
            rows = slice(start, start + entry.rows)
            results.append({name: array[rows] for name, array in predictions.items()})
            start += entry.rows
        return results


def _deliver(batch: list[_Entry], results: list[Columns | Exception]) -> None:
    for entry, result in zip(batch, results, strict=True):
        if entry.future.done():
            continue
        if isinstance(result, Exception):
            entry.future.set_exception(result)
        else:
            entry.future.set_result(result)
