"""Scoring: request bodies in, answers out, by the versions of a release."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson

from .artifact import Artifact
from .contract import Columns
from .errors import RefusedError
from .metrics import REQUESTS, SHADOWS
from .released import Loaded, Released, Served
from .rows import InvalidRowsError, TooManyRowsError

#: Problems listed in one answer; a body of a million bad rows needs no answer of the same size.
PROBLEMS_LISTED = 100
#: Characters of a prediction's id: 96 random bits.
ID_LENGTH = 24

log = logging.getLogger(__name__)


class Scoring(Released):
    """The versions of the release, answering requests."""

    def __init__(self, store: Path, *, max_rows: int, max_bytes: int) -> None:
        super().__init__(store)
        self._max_rows, self.max_bytes = max_rows, max_bytes
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(
        self, body: bytes, reference: str | None = None, exchange: Exchange | None = None, key: bytes = b""
    ) -> tuple[int, bytes]:
        """Return status code and content for a request body: the predictions, or what is wrong with it."""
        start = time.perf_counter()
        exchange = exchange or PREDICT
        try:
            served = self.find(reference, key)
        except RefusedError as error:
            return error.status, exchange.refuse(error)
        status, content = await self._answer(served, exchange, body)
        (served.good if status == 200 else REQUESTS.labels(served.number, status)).inc()
        served.seconds.observe(time.perf_counter() - start)
        if reference is None and status == 200 and self._loaded and self._loaded.release.shadows:
            self._shadow(exchange, body, self._loaded)
        return status, content

    def _shadow(self, exchange: Exchange, body: bytes, loaded: Loaded) -> None:
        """Have the shadows score the same rows when the answer is out; they are only counted."""

        async def score(served: Served) -> None:
            status, _ = await self._answer(served, exchange, body)
            SHADOWS.labels(served.number, status).inc()

        for number in loaded.release.shadows:
            task = asyncio.create_task(score(loaded.versions[number]))
            self._tasks.add(task)  # the event loop alone would not keep it
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, served: Served, exchange: Exchange, body: bytes) -> tuple[int, bytes]:
        try:
            rows, columns = exchange.read(body, served.artifact, self._max_rows)
            # An empty batch is no question to a model; not every one could answer it.
            predictions = await served.score(rows, columns) if rows else {}
            content = exchange.write(rows, predictions, served)
        except RefusedError as error:
            return error.status, exchange.refuse(error)
        except InvalidRowsError as error:
            return 400, exchange.refuse(error)
        except Exception as error:
            log.exception("version %s failed on rows that keep its contract", served.number)
            text = f"version {served.number} failed on these rows: {type(error).__name__}: {error}"
            return 500, exchange.refuse(RefusedError(500, text))
        served.rows.inc(rows)
        return 200, content


class Exchange(Protocol):
    """One protocol's way to say rows, predictions and refusals; all else is the same for each of them."""

    def read(self, body: bytes, artifact: Artifact, limit: int) -> tuple[int, Columns]:
        """Return the number of rows in a body, and their columns; `InvalidRowsError` or `RefusedError`."""
        ...

    def write(self, rows: int, predictions: Columns, served: Served) -> bytes:
        """Return the answer; without rows there are no predictions."""
        ...

    def refuse(self, error: RefusedError | InvalidRowsError) -> bytes:
        """Return what is said of a request that is not answered."""
        ...


class Predict:
    """This project's own protocol: a JSON list of rows, a JSON list of predictions."""

    def read(self, body: bytes, artifact: Artifact, limit: int) -> tuple[int, Columns]:
        """Return the number of rows in a body, and their columns."""
        try:
            return artifact.parser.parse(body, limit)
        except TooManyRowsError:
            raise RefusedError(413, f"more than {limit} rows do not fit in one request (MAX_ROWS)") from None

    def write(self, rows: int, predictions: Columns, served: Served) -> bytes:
        """Return the predictions, each with an id and the version."""
        found = records(predictions, id=_ids(rows), version=[served.number] * rows) if rows else []
        return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY)

    def refuse(self, error: RefusedError | InvalidRowsError) -> bytes:
        """Return what is wrong, and of rows every value that is."""
        return _invalid(error) if isinstance(error, InvalidRowsError) else refusal(str(error))


PREDICT = Predict()


def check_size(rows: int, limit: int) -> None:
    """Refuse more rows than one request may have."""
    if rows > limit:
        raise RefusedError(413, f"{rows} rows; at most {limit} fit in one request (MAX_ROWS)")


def records(predictions: Columns, **beside: Iterable[Any]) -> list[dict[str, Any]]:
    """Return one dict a row; float32 stays NumPy's, which orjson writes in the shortest form that says the same."""
    names = (*predictions, *beside)
    values = [
        list(np.ascontiguousarray(array)) if array.dtype == np.float32 else array.tolist()
        for array in predictions.values()
    ]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, *beside.values(), strict=True)]


def _ids(count: int) -> Iterator[str]:
    # One draw for all: a UUID for each row would cost more than its prediction.
    digits = secrets.token_hex(count * ID_LENGTH // 2)
    return (digits[i : i + ID_LENGTH] for i in range(0, len(digits), ID_LENGTH))


def refusal(reason: str) -> bytes:
    """Return the JSON of an error with one sentence."""
    return orjson.dumps({"error": reason})


def _invalid(error: InvalidRowsError) -> bytes:
    count = len(error.problems)
    listed = [problem._asdict() for problem in error.problems[:PROBLEMS_LISTED]]
    text = f"{count} {'value breaks' if count == 1 else 'values break'} the contract"
    try:
        return orjson.dumps({"error": text, "problems": listed})
    except TypeError:  # a whole number beyond 64 bits, for one: it is repeated as text
        return orjson.dumps(
            {"error": text, "problems": [problem | {"value": repr(problem["value"])} for problem in listed]}
        )
