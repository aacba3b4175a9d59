"""Scoring: request bodies in, answers out, by the versions of a release."""

from __future__ import annotations

import gc
import logging
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from prometheus_client import Counter, Histogram

from .artifact import Artifact
from .batching import Batcher
from .contract import Columns
from .errors import UserError
from .rows import InvalidRowsError
from .store import Release, Store

#: Problems listed in one answer; a body of a million bad rows needs no answer of the same size.
PROBLEMS_LISTED = 100
#: Characters of a prediction's id: 96 random bits.
ID_LENGTH = 24

REQUESTS = Counter("model_requests", "Scoring requests by version and status code.", ["version", "code"])
ROWS = Counter("model_rows", "Rows scored, by version.", ["version"])
SECONDS = Histogram(
    "model_request_seconds",
    "Time to answer a scoring request, by version.",
    ["version"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request that is answered with an error status and one sentence."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Served:
    """A version that is loaded and counted."""

    def __init__(self, number: int, artifact: Artifact) -> None:
        self.number, self.artifact = number, artifact
        # A compiled model answers within microseconds: a thread or a queue would cost more than they spare.
        self._batcher = Batcher(artifact.runtime) if artifact.runtime.name == "python" else None
        self.rows, self.seconds = ROWS.labels(number), SECONDS.labels(number)
        self.good = REQUESTS.labels(number, 200)

    async def score(self, rows: int, columns: Columns) -> Columns:
        """Return the predictions for some rows."""
        if self._batcher:
            return await self._batcher.score(rows, columns)
        return self.artifact.runtime.score(columns)


class Scoring:
    """The versions of a release, loaded from the store."""

    def __init__(self, store: Path, *, max_rows: int, max_bytes: int) -> None:
        self._store = Store(store)
        self._max_rows, self.max_bytes = max_rows, max_bytes
        self.versions: dict[int, Served] = {}
        self.release: Release | None = None

    def load(self) -> None:
        """Load and prove every version of the release; `UserError` if there is none or one is not what it was."""
        release = self._store.release()
        if release is None:
            raise UserError(f"{self._store.root} holds no release to serve. Make one: make train && make deploy")
        versions = {number: Served(number, self._store.load(number)) for number in release.versions}
        for version in versions.values():
            version.artifact.prove()
        self.versions, self.release = versions, release
        # What is loaded stays: the garbage collector need not look at it again in the middle of requests.
        gc.collect()
        gc.freeze()

    def find(self, reference: str | None = None) -> Served:
        """Return a version by number or alias, the champion if none is named; 404 names the versions there are."""
        if self.release is None:
            raise RefusedError(503, "no version is loaded yet")
        if reference is None:
            return self.versions[self.release.champion]
        for number, aliases in self.release.versions.items():
            if reference in (str(number), *aliases):
                return self.versions[number]
        served = ", ".join(" = ".join([str(number), *aliases]) for number, aliases in self.release.versions.items())
        raise RefusedError(404, f"version {reference!r} is not served; there are: {served}")

    async def answer(self, body: bytes, reference: str | None = None) -> tuple[int, bytes]:
        """Return status code and JSON for a request body: the predictions, or what is wrong with it."""
        start = time.perf_counter()
        try:
            served = self.find(reference)
        except RefusedError as error:
            return error.status, refusal(str(error))
        status, content = await self._answer(served, body)
        (served.good if status == 200 else REQUESTS.labels(served.number, status)).inc()
        served.seconds.observe(time.perf_counter() - start)
        return status, content

    async def _answer(self, served: Served, body: bytes) -> tuple[int, bytes]:
        try:
            rows, columns = served.artifact.parser.parse(body)
            if rows > self._max_rows:
                return 413, refusal(f"{rows} rows; at most {self._max_rows} fit in one request (MAX_ROWS)")
            if rows == 0:
                return 200, b"[]"
            records = _records(await served.score(rows, columns), served.number, rows)
        except InvalidRowsError as error:
            return 400, _invalid(error)
        except Exception as error:
            log.exception("version %s failed on rows that keep its contract", served.number)
            return 500, refusal(f"version {served.number} failed on these rows: {type(error).__name__}: {error}")
        served.rows.inc(rows)
        return 200, orjson.dumps(records, option=orjson.OPT_SERIALIZE_NUMPY)


def _records(predictions: Columns, version: int, rows: int) -> list[dict[str, Any]]:
    """Return one dict a row; float32 stays NumPy's, which orjson writes in the shortest form that says the same."""
    names = (*predictions, "id", "version")
    values = [
        list(np.ascontiguousarray(array)) if array.dtype == np.float32 else array.tolist()
        for array in predictions.values()
    ]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, _ids(rows), [version] * rows, strict=True)]


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
