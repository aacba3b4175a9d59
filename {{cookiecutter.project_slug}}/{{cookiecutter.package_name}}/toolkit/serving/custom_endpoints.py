"""For endpoints of a project's own: predictions as Python values, and callers' mistakes answered as such."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import orjson
from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

from .scoring import Scorer

#: Where BentoML and the server log what an endpoint raises.
LOGGERS = ("bentoml._internal.server.http_app", "uvicorn.error")
#: What uvloop says of an answer to who has hung up meanwhile.
HUNG_UP = "the handler is closed"


def predict_as(scorer: Scorer) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
    """Return a function that answers rows as `POST /predict` does: checked, counted, logged, or refused."""

    async def predict(rows: list[dict[str, Any]], version: str | None = None, key: str = "") -> list[dict[str, Any]]:
        status, content = await scorer.answer(orjson.dumps(rows), version, key=key.encode())
        answer = orjson.loads(content)
        if status == 200:
            return answer
        problems = [f"row {one['row']}: {one['field']}: {one['reason']}" for one in answer.get("problems", ())]
        raise BentoMLException("; ".join([answer["error"], *problems]), error_code=HTTPStatus(status))

    return predict


def log_faults_only() -> None:
    """Keep tracebacks of callers' mistakes out of the log, where BentoML and the server write one for each."""
    for logger in LOGGERS:
        logging.getLogger(logger).addFilter(_is_fault)


def _is_fault(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    mistaken = isinstance(error, BentoMLException) and error.error_code < HTTPStatus.INTERNAL_SERVER_ERROR
    gone = isinstance(error, RuntimeError) and HUNG_UP in str(error)
    return not (mistaken or gone or isinstance(error, ValidationError))
