"""`POST /explain`: rows in, the attribution of each feature out. The algorithm is `version/explainer.py`."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson

from ..common.errors import RejectedError
from ..common.redaction import redact
from ..contract.columns import Columns
from ..contract.json_rows import InvalidRowsError, TooManyRowsError
from ..contract.schema import Contract
from ..live.live_release import LiveRelease, LiveVersion
from ..monitoring.metrics import EXPLAINED_ROWS
from ..version.explainer import Explanations
from .limits import MAX_EXPLAINED_ROWS
from .parsing import parse
from .protocols.codec import reject
from .protocols.predict import JSON_CODEC

#: Requests that wait for the thread; more would wait longer than their callers do.
MAX_WAITING = 20
#: A Python model that has not scored after this time never will: the service has ended meanwhile.
SCORE_SECONDS = 60

log = logging.getLogger(__name__)


class ExplainRoute:
    """Explains predictions of the live versions, one request at a time, in a thread beside the event loop."""

    def __init__(self, live: LiveRelease) -> None:
        self._live = live
        # One thread: predictions must not wait for more than one explanation, however many are asked for.
        self._thread = ThreadPoolExecutor(1, "explain")
        self._waiting = 0

    async def answer(self, body: bytes, reference: str) -> tuple[int, bytes]:
        """Return status and JSON for a body: an explanation of each row, or the error."""
        if self._waiting >= MAX_WAITING:
            text = f"{self._waiting} requests are waiting to be explained already; try again in a moment"
            return reject(JSON_CODEC, RejectedError(429, text))
        self._waiting += 1
        try:
            version = self._live.snapshot.find(reference)
            rows, columns = await parse(version.parser.parse, body, MAX_EXPLAINED_ROWS)
            if rows == 0:
                return 200, b"[]"
            loop = asyncio.get_running_loop()
            return 200, await loop.run_in_executor(self._thread, _explain, version, columns, loop)
        except (RejectedError, InvalidRowsError) as error:
            return reject(JSON_CODEC, error)
        except TooManyRowsError:
            text = f"at most {MAX_EXPLAINED_ROWS} rows are explained in one request"
            return reject(JSON_CODEC, RejectedError(413, text))
        except Exception as error:
            log.exception("valid rows were not explained")
            text = f"these rows were not explained: {type(error).__name__}: {redact(str(error))}"
            return reject(JSON_CODEC, RejectedError(500, text))
        finally:
            self._waiting -= 1


def _explain(version: LiveVersion, columns: Columns, loop: asyncio.AbstractEventLoop) -> bytes:
    runtime = version.artifact.runtime

    def score(mixed: Columns) -> Columns:
        if not runtime.threaded:
            return runtime.score(mixed)
        # Through the micro-batches: Python code of a model is called by one thread at a time.
        rows = len(next(iter(mixed.values())))
        return asyncio.run_coroutine_threadsafe(version.score(rows, mixed), loop).result(SCORE_SECONDS)

    explanations = version.artifact.explainer.explain(columns, score)
    records = _records(explanations, version.artifact.contract, version.number)
    EXPLAINED_ROWS.labels(version.number).inc(len(records))
    return orjson.dumps(records, option=orjson.OPT_SERIALIZE_NUMPY)


def _records(explanations: Explanations, contract: Contract, version: int) -> list[dict[str, Any]]:
    names = list(contract.by_name)
    classes = {output: contract.class_of(output) for output in set(explanations.output)}
    # float32 as predictions are: the model knows no more digits.
    bases, predictions = explanations.base.astype(np.float32), explanations.prediction.astype(np.float32)
    contributions = explanations.contributions.astype(np.float32)
    return [
        {
            "base": base,
            "prediction": prediction,
            "contributions": dict(zip(names, row, strict=True)),
            "output": output,
            "version": version,
        }
        | ({} if classes[output] is None else {"class": classes[output]})
        for base, prediction, row, output in zip(bases, predictions, contributions, explanations.output, strict=True)
    ]
