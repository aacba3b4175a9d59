"""What is noted of each answer: counted, and logged, by a thread beside those that answer.

The thread that answers only appends to a queue. A few times a second everything in it is joined by version, and counted
in arrays of thousands of rows.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import defaultdict, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from .contract import Columns
from .log import PredictionLog
from .metrics import REQUESTS, SHADOWS

if TYPE_CHECKING:
    from .released import Served

#: A crash loses no more than this, and the little time that the disk takes.
PERIOD_SECONDS = 0.25

log = logging.getLogger(__name__)


class Answered(NamedTuple):
    """A request that was answered; one that was refused has no rows."""

    served: Served
    #: Seconds since 1970.
    time: float
    #: How long it took; None for a shadow, which nobody waits for.
    seconds: float | None
    status: int
    ids: list[str]
    columns: Columns
    predictions: Columns
    key: bytes


class Observer:
    """Counts and logs answers; `log_share` of them are logged."""

    def __init__(self, predictions: PredictionLog | None = None, log_share: float = 1.0) -> None:
        self._log, self._log_share = predictions, log_share
        self._waiting: deque[Answered] = deque()
        self._draining = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, answered: Answered) -> None:
        """Have an answer counted and logged soon; this takes less than a microsecond."""
        self._waiting.append(answered)

    def start(self) -> None:
        """Work from now on, in a thread of its own."""

        def work() -> None:
            while not self._ended.wait(PERIOD_SECONDS):
                self.drain()

        self._thread = threading.Thread(target=work, name="observer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Count and log what waits."""
        self._ended.set()
        self.drain()
        if self._log:
            self._log.close()

    def drain(self) -> None:
        """Count what waits, and hand it to the log."""
        with self._draining:
            # What arrives meanwhile is for the next time.
            taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not taken:
                return
            for work in (_count, self._write):
                try:
                    work(taken)
                except Exception:  # the next answers are to be counted and logged all the same
                    log.exception("%d answers were not noted", len(taken))

    def _write(self, taken: list[Answered]) -> None:
        logged = [one for one in taken if one.ids and random.random() < self._log_share] if self._log else []
        if self._log and logged:
            self._log.put(b"".join(map(_line, logged)), sum(len(one.ids) for one in logged))


def _count(taken: list[Answered]) -> None:
    by_version: defaultdict[Served, list[Answered]] = defaultdict(list)
    for answered in taken:
        by_version[answered.served].append(answered)
    for served, group in by_version.items():
        codes: defaultdict[tuple[bool, int], int] = defaultdict(int)
        for answered in group:
            codes[answered.seconds is None, answered.status] += 1
            if answered.seconds is not None:
                served.seconds.observe(answered.seconds)
        for (shadow, code), count in codes.items():
            (SHADOWS if shadow else REQUESTS).labels(served.number, code).inc(count)
        scored = [answered for answered in group if answered.ids]
        if scored:
            served.count(_joined([one.columns for one in scored]), _joined([one.predictions for one in scored]))


def _joined(parts: list[Columns]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _line(answered: Answered) -> bytes:
    """Return the line of one request: inputs as the model saw them, a list a column."""
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(answered.time, UTC),
        "version": answered.served.number,
        "id": answered.ids,
        "inputs": _lists(answered.columns),
        "outputs": _lists(answered.predictions),
    }
    if answered.key:
        line["key"] = answered.key.decode("latin-1")
    if answered.seconds is None:
        line["shadow"] = True
    return orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def _lists(columns: Columns) -> dict[str, Any]:
    # Words are Python objects, which orjson does not take from an array.
    return {
        name: array.tolist() if array.dtype == object else np.ascontiguousarray(array)
        for name, array in columns.items()
    }
