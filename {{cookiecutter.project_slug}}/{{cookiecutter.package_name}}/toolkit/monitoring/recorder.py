"""What is noted of each answer: counted, and logged, by a thread beside those that answer.

The thread that answers only appends to a queue. A few times a second everything in it is joined by version, and counted
in arrays of thousands of rows.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from ..contract.columns import Columns
from .metrics import REQUESTS, SHADOWS
from .prediction_log import PredictionLog

if TYPE_CHECKING:
    from ..serving.live_release import LiveVersion

#: A crash loses no more than this, and what the disk takes. Longer, and whole batches of work would hold up requests.
PERIOD_SECONDS = 0.1

log = logging.getLogger(__name__)


class RequestRecord(NamedTuple):
    """A request that was answered; one that was refused has no rows."""

    served: LiveVersion
    #: Seconds since 1970.
    time: float
    #: How long it took; None for a shadow, which nobody waits for.
    seconds: float | None
    status: int
    ids: list[str]
    columns: Columns
    predictions: Columns
    key: bytes


class Block(NamedTuple):
    """The rows of many requests to one version, joined."""

    served: LiveVersion
    shadow: bool
    time: np.ndarray
    ids: list[str]
    keys: list[str | None]
    columns: Columns
    predictions: Columns


class Recorder:
    """Counts and logs answers; `log_share` of the requests are logged."""

    def __init__(self, predictions: PredictionLog | None = None, log_share: float = 1.0) -> None:
        self._log, self._log_share = predictions, log_share
        self._waiting: deque[RequestRecord] = deque()
        self._draining = threading.Lock()
        self._ended = threading.Event()

    def note(self, answered: RequestRecord) -> None:
        """Have an answer counted and logged soon; this takes less than a microsecond."""
        self._waiting.append(answered)

    def start(self) -> None:
        """Work from now on, in a thread of its own."""

        def work() -> None:
            while not self._ended.wait(PERIOD_SECONDS):
                self.drain()

        threading.Thread(target=work, name="observer", daemon=True).start()

    def close(self) -> None:
        """Count and log what waits, and end."""
        self._ended.set()
        self.drain()
        if self._log:
            self._log.close()

    def drain(self) -> None:
        """Count what waits, and hand it to the log."""
        with self._draining:
            # What arrives meanwhile is for the next time.
            taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                _count_requests(taken)
                for (served, shadow), group in _grouped(taken).items():
                    block = _joined(served, shadow, group)
                    served.count(block.columns, block.predictions)
                    if self._log and self._log_share:
                        self._write(block if self._log_share == 1 else self._sample(served, shadow, group), self._log)
            except Exception:  # the next answers are to be counted and logged all the same
                log.exception("%d answers were not noted", len(taken))

    def _sample(self, served: LiveVersion, shadow: bool, group: list[RequestRecord]) -> Block | None:
        sample = [answered for answered in group if random.random() < self._log_share]
        return _joined(served, shadow, sample) if sample else None

    def _write(self, block: Block | None, predictions: PredictionLog) -> None:
        if block:
            predictions.put(line(block), len(block.ids))


def _count_requests(taken: list[RequestRecord]) -> None:
    for answered in taken:
        if answered.seconds is not None:
            answered.served.seconds.observe(answered.seconds)
    totals = Counter((answered.served.number, answered.status, answered.seconds is None) for answered in taken)
    for (number, status, shadow), count in totals.items():
        (SHADOWS if shadow else REQUESTS).labels(number, status).inc(count)


def _grouped(taken: list[RequestRecord]) -> dict[tuple[LiveVersion, bool], list[RequestRecord]]:
    """Return what was scored, by version, shadows apart."""
    groups: defaultdict[tuple[LiveVersion, bool], list[RequestRecord]] = defaultdict(list)
    for answered in taken:
        if answered.ids:
            groups[answered.served, answered.seconds is None].append(answered)
    return groups


def _joined(served: LiveVersion, shadow: bool, group: list[RequestRecord]) -> Block:
    sizes = [len(answered.ids) for answered in group]
    times = np.array([int(answered.time * 1e6) for answered in group]).astype("datetime64[us]")
    keys = [answered.key.decode("latin-1") or None for answered in group]
    return Block(
        served,
        shadow,
        np.repeat(times, sizes),
        [one for answered in group for one in answered.ids],
        [key for key, size in zip(keys, sizes, strict=True) for _ in range(size)],
        _concatenated([answered.columns for answered in group]),
        _concatenated([answered.predictions for answered in group]),
    )


def _concatenated(parts: list[Columns]) -> Columns:
    return parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def line(block: Block) -> bytes:
    """Return rows as a line of the log: a list for each column, inputs as the model saw them."""
    content = {
        "version": block.served.number,
        "shadow": block.shadow,
        "time": block.time,
        "id": block.ids,
        "key": block.keys,
        "inputs": _lists(block.columns),
        "outputs": _lists(block.predictions),
    }
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NAIVE_UTC
    return orjson.dumps(content, option=options)


def _lists(columns: Columns) -> dict[str, Any]:
    # Words are Python objects, which orjson does not take from an array.
    return {
        name: array.tolist() if array.dtype == object else np.ascontiguousarray(array)
        for name, array in columns.items()
    }
