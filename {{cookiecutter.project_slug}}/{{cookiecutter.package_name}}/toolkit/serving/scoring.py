"""Scoring requests: bodies in, answers out, by the versions of the live release."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import NamedTuple

from ..common.errors import RejectedError
from ..common.redaction import redact
from ..contract.columns import Columns
from ..contract.json_rows import InvalidRowsError
from ..live.live_release import LiveRelease, LiveVersion, ReleaseSnapshot
from ..monitoring.recorder import Recorder, RequestRecord
from .errors import status_of
from .limits import Limits, check_key
from .parsing import LARGE_ROWS, beside, parse
from .protocols.codec import Codec, reject
from .protocols.predict import JSON_CODEC

log = logging.getLogger(__name__)


class Scorer:
    """Answers scoring requests of every protocol, within limits, and hands each to the recorder."""

    def __init__(self, live: LiveRelease, limits: Limits, recorder: Recorder | None = None) -> None:
        self.live, self.limits, self.recorder = live, limits, recorder or Recorder()
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(
        self, body: bytes, reference: str | None = None, codec: Codec = JSON_CODEC, key: bytes = b""
    ) -> tuple[int, bytes]:
        """Return status and content for a body: the predictions, or the error.

        `reference` is a version's number or alias; without one, traffic weights and `key` choose the version.
        """
        start = time.perf_counter()
        if self._waiting >= self.limits.max_waiting:
            text = f"{self._waiting} requests are waiting already (MAX_WAITING); try again in a moment"
            return reject(codec, RejectedError(429, text))
        snapshot, version, result = None, None, NO_ROWS
        self._waiting += 1
        try:
            check_key(key)
            snapshot = self.live.snapshot
            version = snapshot.find(reference, key)
            result = await _score(version, codec, body, self.limits.max_rows)
            status, content = 200, result.content
        except (RejectedError, InvalidRowsError) as error:
            status, content = reject(codec, error)
        finally:
            self._waiting -= 1
        if snapshot and version:
            seconds = time.perf_counter() - start
            ids, columns, predictions, _ = result
            self.recorder.record(
                RequestRecord(version.counters, time.time(), seconds, status, ids, columns, predictions, key)
            )
            if snapshot.release.shadows and reference is None and status == 200:
                self._start_shadows(codec, body, snapshot, ids, key)
        return status, content

    def _start_shadows(self, codec: Codec, body: bytes, snapshot: ReleaseSnapshot, ids: list[str], key: bytes) -> None:
        """Have the shadows score the same body after the answer is sent; their predictions are only recorded."""

        async def score(version: LiveVersion) -> None:
            status, result = 200, NO_ROWS
            try:
                result = await _score(version, codec, body, self.limits.max_rows, ids)
            except (RejectedError, InvalidRowsError) as error:
                status = status_of(error)
            _, columns, predictions, _ = result
            self.recorder.record(
                RequestRecord(version.counters, time.time(), None, status, result.ids, columns, predictions, key)
            )

        for number in snapshot.release.shadows:
            task = asyncio.create_task(score(snapshot.versions[number]))
            self._tasks.add(task)  # the event loop alone would not keep it
            task.add_done_callback(self._tasks.discard)


class ScoringResult(NamedTuple):
    """The rows of a request, their predictions and ids, and the content of the answer."""

    ids: list[str]
    columns: Columns
    predictions: Columns
    content: bytes


NO_ROWS = ScoringResult([], {}, {}, b"")


async def _score(
    version: LiveVersion, codec: Codec, body: bytes, limit: int, ids: list[str] | None = None
) -> ScoringResult:
    """Return a version's predictions for the rows in a body; `RejectedError` or `InvalidRowsError`.

    A shadow is given the `ids` of the answer, so that the log has both predictions of a row under one id.
    """
    try:
        rows, columns = await parse(codec.decode, body, version.parser, limit)
        # Not every model accepts an empty batch.
        predictions = await version.score(rows, columns) if rows else {}

        def result() -> ScoringResult:
            made = ids if ids is not None else version.ids.make(predictions) if rows else []
            return ScoringResult(made, columns, predictions, codec.encode(predictions, made, version))

        return await beside(result) if rows > LARGE_ROWS else result()
    except (RejectedError, InvalidRowsError):
        raise
    except Exception as error:
        log.exception("version %s failed on valid rows", version.number)
        text = f"version {version.number} failed on these rows: {type(error).__name__}: {redact(str(error))}"
        raise RejectedError(500, text) from error
