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
        self._worker: asyncio.Task[None] | None = None

    async def score(self, rows: int, columns: Columns) -> Columns:
        """Return the predictions for the rows of one caller; an error of the model for them reaches no other caller."""
        entry = _Entry(rows, columns, asyncio.get_running_loop().create_future())
        self._queue.append(entry)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await entry.future

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._score(self._next())
        finally:
            self._worker = None

    def _next(self) -> list[_Entry]:
        batch = [self._queue.popleft()]
        rows = batch[0].rows
        while self._queue and rows + self._queue[0].rows <= MAX_BATCH_ROWS:
            batch.append(self._queue.popleft())
            rows += batch[-1].rows
        return batch

    async def _score(self, batch: list[_Entry]) -> None:
        try:
            score, columns = self._runtime.score, concatenate([entry.columns for entry in batch])
            beside = self._threaded or sum(entry.rows for entry in batch) >= MAX_BATCH_ROWS
            predictions = await asyncio.to_thread(score, columns) if beside else score(columns)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for entry in batch:  # one at a time, so that only the rows that fail get the error
                await self._score([entry])
            return
        if len(batch) == 1:
            _succeed(batch[0], predictions)
            return
        start = 0
        for entry in batch:
            rows = slice(start, start + entry.rows)
            _succeed(entry, {name: array[rows] for name, array in predictions.items()})
            start += entry.rows


def _succeed(entry: _Entry, predictions: Columns) -> None:
    if not entry.future.done():
        entry.future.set_result(predictions)


def _fail(entry: _Entry, error: Exception) -> None:
    if not entry.future.done():
        entry.future.set_exception(error)
