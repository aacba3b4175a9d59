"""Explaining requests: bodies in, contributions out, by the versions that score."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson

from ..common.errors import RejectedError
from ..contract.columns import Columns
from ..contract.json_rows import InvalidRowsError, TooManyRowsError
from ..monitoring.metrics import EXPLAINED
from ..version.explainer import Explanations
from .live_release import LiveVersion
from .scoring import PREDICT, Scoring, refused

#: Each row costs thousands of predictions.
MAX_ROWS = 100
#: Requests that wait for their turn; more would wait longer than their callers do.
MAX_WAITING = 20
#: A model in Python that has not scored by then never will: the service has ended meanwhile.
SCORE_SECONDS = 60


log = logging.getLogger(__name__)


class Explaining:
    """Explains what the versions of a release say; one request at a time, beside the event loop."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring
        # One thread: predictions must not wait for more than one explanation, however many are asked for.
        self._thread = ThreadPoolExecutor(1, "explain")
        self._waiting = 0

    async def answer(self, body: bytes, reference: str) -> tuple[int, bytes]:
        """Return status code and JSON for a request body: contributions for each row, or what is wrong with it."""
        if self._waiting >= MAX_WAITING:
            text = f"{self._waiting} requests wait to be explained already; try again in a moment"
            return refused(PREDICT, RejectedError(429, text))
        self._waiting += 1
        try:
            served = self._scoring.find(reference)
            rows, columns = served.parser.parse(body, MAX_ROWS)
            if rows == 0:
                return 200, b"[]"
            loop = asyncio.get_running_loop()
            return 200, await loop.run_in_executor(self._thread, _explain, served, columns, loop)
        except (RejectedError, InvalidRowsError) as error:
            return refused(PREDICT, error)
        except TooManyRowsError:
            return refused(PREDICT, RejectedError(413, f"at most {MAX_ROWS} rows are explained in one request"))
        except Exception as error:
            log.exception("rows that keep the contract were not explained")
            text = f"these rows were not explained: {type(error).__name__}: {error}"
            return refused(PREDICT, RejectedError(500, text))
        finally:
            self._waiting -= 1


def _explain(served: LiveVersion, columns: Columns, loop: asyncio.AbstractEventLoop) -> bytes:
    runtime = served.artifact.runtime

    def score(mixed: Columns) -> Columns:
        if runtime.name != "python":
            return runtime.score(mixed)
        # In its turn: a model in Python is called from one thread, that of its micro-batches.
        rows = len(next(iter(mixed.values())))
        return asyncio.run_coroutine_threadsafe(served.score(rows, mixed), loop).result(SCORE_SECONDS)

    found = served.artifact.explainer.explain(columns, score)
    records = _records(found, list(served.artifact.contract.by_name), served.number)
    EXPLAINED.labels(served.number).inc(len(records))
    return orjson.dumps(records, option=orjson.OPT_SERIALIZE_NUMPY)


def _records(found: Explanations, names: list[str], version: int) -> list[dict[str, Any]]:
    # float32, as predictions are: what is beyond its digits is noise of the model.
    bases, predictions = found.base.astype(np.float32), found.prediction.astype(np.float32)
    return [
        {
            "base": base,
            "prediction": prediction,
            "contributions": dict(zip(names, row, strict=True)),
            "output": output,
            "version": version,
        }
        for base, prediction, row, output in zip(
            bases, predictions, found.contributions.astype(np.float32), found.output, strict=True
        )
    ]
