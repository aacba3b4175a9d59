"""Micro-batches: requests that wait while a model is busy are scored together when it is free.

There is no waiting window: a request that finds the model idle is scored at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

import numpy as np

from ..contract.columns import Columns
from ..version.runtime import Runtime

#: Rows scored at once; more would keep the first callers waiting for the last.
LARGEST = 1000


class _Waiting(NamedTuple):
    """The rows of one caller, and where their predictions go."""

    rows: int
    columns: Columns
    answer: asyncio.Future[Columns]


class Batcher:
    """Scores the rows of many callers with one model.

    A model in Python runs in a thread beside the event loop; what arrives meanwhile is the next batch. A compiled one
    takes microseconds, and a thread would cost more than it spares: what arrives in one turn of the loop is its batch.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._threaded = runtime.name == "python"
        self._waiting: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def score(self, rows: int, columns: Columns) -> Columns:
        """Return the predictions for the rows of one caller; what the model raises for them, only this caller gets."""
        entry = _Waiting(rows, columns, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await entry.answer

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._score(self._next())
        finally:
            self._worker = None

    def _next(self) -> list[_Waiting]:
        batch = [self._waiting.popleft()]
        rows = batch[0].rows
        while self._waiting and rows + self._waiting[0].rows <= LARGEST:
            batch.append(self._waiting.popleft())
            rows += batch[-1].rows
        return batch

    async def _score(self, batch: list[_Waiting]) -> None:
        try:
            score, together = self._runtime.score, _joined(batch)
            predictions = await asyncio.to_thread(score, together) if self._threaded else score(together)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for entry in batch:  # one of them is to blame; the others get their answers
                await self._score([entry])
            return
        if len(batch) == 1:
            _succeed(batch[0], predictions)
            return
        start = 0
        for entry in batch:
            own = slice(start, start + entry.rows)
            _succeed(entry, {name: array[own] for name, array in predictions.items()})
            start += entry.rows


def _joined(batch: list[_Waiting]) -> Columns:
    if len(batch) == 1:
        return batch[0].columns
    return {name: np.concatenate([entry.columns[name] for entry in batch]) for name in batch[0].columns}


def _succeed(entry: _Waiting, predictions: Columns) -> None:
    if not entry.answer.done():
        entry.answer.set_result(predictions)


def _fail(entry: _Waiting, error: Exception) -> None:
    if not entry.answer.done():
        entry.answer.set_exception(error)
