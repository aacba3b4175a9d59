"""The recorder: counts and logs requests in a thread of its own, beside the threads that answer them.

A thread that answers only appends to a queue. Ten times a second the recorder empties it, joins the rows by version,
and counts and logs arrays of many requests at once.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import orjson

from ..contract.columns import Columns, concatenate, output_values
from .metrics import REQUESTS, SHADOW_REQUESTS
from .prediction_log import PredictionLog
from .version_counters import VersionCounters

#: A crash loses the requests of this time, and lines not yet on the disk. With a longer period, one round of counting
#: would delay requests.
PERIOD_SECONDS = 0.1
#: Inputs and outputs in one line of the log, at most, unless a single row has more: a few megabytes.
LINE_VALUES = 500_000

log = logging.getLogger(__name__)


class RequestRecord(NamedTuple):
    """One request to a version; a rejected one has no rows."""

    counters: VersionCounters
    #: Seconds since 1970.
    time: float
    #: Seconds until the answer; None for a shadow, whose answer nobody waits for.
    seconds: float | None
    status: int
    ids: list[str]
    columns: Columns
    predictions: Columns
    key: bytes


class Block(NamedTuple):
    """The rows of many requests to one version; time, ids and key_indices have one entry for each row."""

    counters: VersionCounters
    shadow: bool
    time: np.ndarray
    ids: list[str]
    #: The keys of the requests, each once, and for each row the position of its key.
    keys: list[str | None]
    key_indices: np.ndarray
    columns: Columns
    predictions: Columns


class Recorder:
    """Counts all requests, and logs the rows of a share of them (`log_share`)."""

    def __init__(self, predictions: PredictionLog | None = None, log_share: float = 1.0) -> None:
        self._log, self._log_share = predictions, log_share
        self._queue: deque[RequestRecord] = deque()
        self._draining = threading.Lock()
        self._closed = threading.Event()

    def record(self, record: RequestRecord) -> None:
        """Put a request into the queue; this takes less than a microsecond."""
        self._queue.append(record)

    def start(self) -> None:
        """Start the thread that empties the queue."""

        def work() -> None:
            while not self._closed.wait(PERIOD_SECONDS):
                self.drain()

        threading.Thread(target=work, name="recorder", daemon=True).start()

    def close(self) -> None:
        """Count and log what is in the queue, and end the thread."""
        self._closed.set()
        self.drain()
        if self._log:
            self._log.close()

    def drain(self) -> None:
        """Count what is in the queue, and hand it to the log."""
        with self._draining:
            # Not "until it is empty": requests keep arriving.
            records = [self._queue.popleft() for _ in range(len(self._queue))]
            try:
                _count_requests(records)
                for (counters, shadow), group in _by_version(records).items():
                    block = _block(counters, shadow, group)
                    counters.add(block.columns, block.predictions)
                    if self._log and self._log_share:
                        self._write(block if self._log_share == 1 else self._sample(counters, shadow, group), self._log)
            except Exception:  # the requests after these have to be counted and logged all the same
                log.exception("%d requests were not recorded", len(records))

    def _sample(self, counters: VersionCounters, shadow: bool, group: list[RequestRecord]) -> Block | None:
        sample = [record for record in group if random.random() < self._log_share]
        return _block(counters, shadow, sample) if sample else None

    def _write(self, block: Block | None, predictions: PredictionLog) -> None:
        for part in _parts(block) if block else ():
            predictions.put(log_line(part), len(part.ids))


def _count_requests(records: list[RequestRecord]) -> None:
    for record in records:
        if record.seconds is not None:
            record.counters.seconds.observe(record.seconds)
    totals = Counter((record.counters.number, record.status, record.seconds is None) for record in records)
    for (number, status, shadow), count in totals.items():
        (SHADOW_REQUESTS if shadow else REQUESTS).labels(number, status).inc(count)


def _by_version(records: list[RequestRecord]) -> dict[tuple[VersionCounters, bool], list[RequestRecord]]:
    """Return the records that have rows, by version, those of shadows apart."""
    groups: defaultdict[tuple[VersionCounters, bool], list[RequestRecord]] = defaultdict(list)
    for record in records:
        if record.ids:
            groups[record.counters, record.seconds is None].append(record)
    return groups


def _block(counters: VersionCounters, shadow: bool, group: list[RequestRecord]) -> Block:
    sizes = [len(record.ids) for record in group]
    times = np.array([int(record.time * 1e6) for record in group]).astype("datetime64[us]")
    positions: dict[bytes, int] = {}
    indices = np.array([positions.setdefault(record.key, len(positions)) for record in group])
    return Block(
        counters,
        shadow,
        np.repeat(times, sizes),
        [prediction_id for record in group for prediction_id in record.ids],
        [key.decode("latin-1") or None for key in positions],
        np.repeat(indices, sizes),
        concatenate([record.columns for record in group]),
        concatenate([record.predictions for record in group]),
    )


def _parts(block: Block) -> Iterator[Block]:
    """Yield a block in parts whose lines are far smaller than a file of the log."""
    values = sum(map(_values, (*block.columns.values(), *block.predictions.values())))
    rows = len(block.ids)
    size = max(1, LINE_VALUES * rows // max(1, values))
    for start in range(0, rows, size):
        part = slice(start, start + size)
        yield block._replace(
            time=block.time[part],
            ids=block.ids[part],
            key_indices=block.key_indices[part],
            columns={name: array[part] for name, array in block.columns.items()},
            predictions={name: array[part] for name, array in block.predictions.items()},
        )


def _values(array: np.ndarray) -> int:
    """Return the size of an array in a line of the log: its values, of texts one for ten characters."""
    return array.size + (sum(map(len, array.tolist())) // 10 if array.dtype == object else 0)


def log_line(block: Block) -> bytes:
    """Return a block as a line of the prediction log: a list for each field, inputs as the model got them."""
    content = {
        "version": block.counters.number,
        "shadow": block.shadow,
        "time": block.time,
        "id": block.ids,
        "keys": block.keys,
        "key": block.key_indices,
        "inputs": _lists(block.columns),
        "outputs": _lists(block.predictions) | _maps(block),
    }
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NAIVE_UTC
    return orjson.dumps(content, option=options)


def _maps(block: Block) -> dict[str, Any]:
    """Return the dicts of predictions, one a row; elsewhere they are arrays."""
    fields = [field for field in block.counters.contract.prediction if field.kind == "map"]
    return {field.name: output_values(block.predictions[field.name], field) for field in fields}


def _lists(columns: Columns) -> dict[str, Any]:
    # Categories are arrays of Python objects, which orjson does not serialize.
    return {
        name: array.tolist() if array.dtype == object else np.ascontiguousarray(array)
        for name, array in columns.items()
    }
