"""Scoring: request bodies in, answers out, by the versions of a release."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import orjson

from ..common.errors import RejectedError
from ..contract.columns import Columns
from ..contract.json_rows import InvalidRowsError, RowParser, TooManyRowsError
from ..contract.schema import Violation
from ..monitoring.metrics import REFUSED
from ..monitoring.recorder import Recorder, RequestRecord
from .live_release import LiveRelease, LiveVersion, ReleaseSnapshot

#: Problems listed in one answer; a body of a million bad rows needs no answer of the same size.
PROBLEMS_LISTED = 100
#: Callers with the same key get the same version, where several share the traffic.
KEY_HEADER = "x-key"
#: Characters of a value that are repeated in an answer.
LONGEST = 200
#: Why a request is refused, in one word, by status.
REASONS = {
    400: "format",
    404: "version",
    405: "method",
    413: "size",
    415: "format",
    429: "overload",
    500: "failure",
    503: "unavailable",
}

log = logging.getLogger(__name__)


class Scoring(LiveRelease):
    """The versions of the release, answering requests."""

    def __init__(
        self, store: Path, *, max_rows: int, max_bytes: int, max_waiting: int = 1000, observer: Recorder | None = None
    ) -> None:
        super().__init__(store)
        self.max_rows, self.max_bytes, self._max_waiting = max_rows, max_bytes, max_waiting
        self.observer = observer or Recorder()
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def watch(self, seconds: float = 1.0) -> None:
        """Follow the store and note what is answered, from now on."""
        super().watch(seconds)
        self.observer.start()

    async def answer(
        self, body: bytes, reference: str | None = None, exchange: Exchange | None = None, key: bytes = b""
    ) -> tuple[int, bytes]:
        """Return status code and content for a request body: the predictions, or what is wrong with it."""
        start = time.perf_counter()
        exchange = exchange or PREDICT
        if self._waiting >= self._max_waiting:
            text = f"{self._waiting} requests are waiting already (MAX_WAITING); try again in a moment"
            return refused(exchange, RejectedError(429, text))
        served, scored = None, NOTHING
        self._waiting += 1
        try:
            served = self.find(reference, key)
            scored = await _score(served, exchange, body, self.max_rows)
            status, content = 200, scored.content
        except (RejectedError, InvalidRowsError) as error:
            status, content = refused(exchange, error)
        finally:
            self._waiting -= 1
        if served:
            self.observer.note(
                RequestRecord(served, time.time(), time.perf_counter() - start, status, *scored[:3], key)
            )
            if reference is None and status == 200 and self._loaded and self._loaded.release.shadows:
                self._shadow(exchange, body, self._loaded, scored.ids, key)
        return status, content

    def _shadow(self, exchange: Exchange, body: bytes, loaded: ReleaseSnapshot, ids: list[str], key: bytes) -> None:
        """Have the shadows score the same rows when the answer is out; they are only counted and logged."""

        async def score(served: LiveVersion) -> None:
            status, scored = 200, NOTHING
            try:
                scored = await _score(served, exchange, body, self.max_rows, ids)
            except (RejectedError, InvalidRowsError) as error:
                status = status_of(error)
            self.observer.note(RequestRecord(served, time.time(), None, status, *scored[:3], key))

        for number in loaded.release.shadows:
            task = asyncio.create_task(score(loaded.versions[number]))
            self._tasks.add(task)  # the event loop alone would not keep it
            task.add_done_callback(self._tasks.discard)


class ScoringResult(NamedTuple):
    """The rows of a request, what was predicted for them under which ids, and how it is said."""

    ids: list[str]
    columns: Columns
    predictions: Columns
    content: bytes


NOTHING = ScoringResult([], {}, {}, b"")


async def _score(
    served: LiveVersion, exchange: Exchange, body: bytes, limit: int, ids: list[str] | None = None
) -> ScoringResult:
    """Return what a version says of the rows in a body; `RejectedError` or `InvalidRowsError` if it does not."""
    try:
        rows, columns = exchange.read(body, served.parser, limit)
        # An empty batch is no question to a model; not every one could answer it.
        predictions = await served.score(rows, columns) if rows else {}
        if ids is None:
            ids = served.ids.make(predictions[served.label]) if rows else []
        return ScoringResult(ids, columns, predictions, exchange.write(predictions, ids, served))
    except (RejectedError, InvalidRowsError):
        raise
    except Exception as error:
        log.exception("version %s failed on rows that keep its contract", served.number)
        text = f"version {served.number} failed on these rows: {type(error).__name__}: {error}"
        raise RejectedError(500, text) from error


def status_of(error: RejectedError | InvalidRowsError) -> int:
    """Return the status code that says what is wrong."""
    return 400 if isinstance(error, InvalidRowsError) else error.status


def refused(exchange: Exchange, error: RejectedError | InvalidRowsError) -> tuple[int, bytes]:
    """Return status and content for a request that is not answered, and count it."""
    status = status_of(error)
    REFUSED.labels(status, "contract" if isinstance(error, InvalidRowsError) else REASONS[status]).inc()
    return status, exchange.refuse(error)


class Exchange(Protocol):
    """One protocol's way to say rows, predictions and refusals; all else is the same for each of them."""

    def read(self, body: bytes, parser: RowParser, limit: int) -> tuple[int, Columns]:
        """Return the number of rows in a body, and their columns; `InvalidRowsError` or `RejectedError`."""
        ...

    def write(self, predictions: Columns, ids: list[str], served: LiveVersion) -> bytes:
        """Return the answer, an id a row; without rows there are no predictions."""
        ...

    def refuse(self, error: RejectedError | InvalidRowsError) -> bytes:
        """Return what is said of a request that is not answered."""
        ...


class Predict:
    """This project's own protocol: a JSON list of rows, a JSON list of predictions."""

    def read(self, body: bytes, parser: RowParser, limit: int) -> tuple[int, Columns]:
        """Return the number of rows in a body, and their columns."""
        try:
            return parser.parse(body, limit)
        except TooManyRowsError:
            raise RejectedError(413, f"more than {limit} rows do not fit in one request (MAX_ROWS)") from None

    def write(self, predictions: Columns, ids: list[str], served: LiveVersion) -> bytes:
        """Return the predictions, each with its id and the version."""
        found = records(predictions, id=ids, version=[served.number] * len(ids)) if ids else []
        return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY)

    def refuse(self, error: RejectedError | InvalidRowsError) -> bytes:
        """Return what is wrong, and of rows every value that is."""
        return _invalid(error) if isinstance(error, InvalidRowsError) else refusal(str(error))


PREDICT = Predict()


def check_size(rows: int, limit: int) -> None:
    """Refuse more rows than one request may have."""
    if rows > limit:
        raise RejectedError(413, f"{rows} rows; at most {limit} fit in one request (MAX_ROWS)")


def records(predictions: Columns, **beside: Iterable[Any]) -> list[dict[str, Any]]:
    """Return one dict a row; float32 stays NumPy's, which orjson writes in the shortest form that says the same."""
    names = (*predictions, *beside)
    values = [
        list(np.ascontiguousarray(array)) if array.dtype == np.float32 else array.tolist()
        for array in predictions.values()
    ]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, *beside.values(), strict=True)]


def refusal(reason: str) -> bytes:
    """Return the JSON of an error with one sentence."""
    return orjson.dumps({"error": reason})


def listed(problems: list[Violation]) -> list[dict[str, Any]]:
    """Return problems as JSON has them, so many as an answer may list."""
    return [
        problem._asdict() | {"field": _repeated(problem.field), "value": _repeated(problem.value)}
        for problem in problems[:PROBLEMS_LISTED]
    ]


def _repeated(value: Any) -> Any:
    """Return a caller's value as it is repeated to them: of a long one the beginning, as text."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST else value[:LONGEST] + "…"
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # a whole number beyond 64 bits, for one
        return _repeated(repr(value))
    return value if len(text) <= LONGEST else _repeated(text)


def _invalid(error: InvalidRowsError) -> bytes:
    return orjson.dumps({"error": str(error), "problems": listed(error.problems)})
