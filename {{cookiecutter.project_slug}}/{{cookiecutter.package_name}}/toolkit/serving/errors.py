"""Error answers: their status, their JSON, and the reasons that the metric counts them under."""

from __future__ import annotations

from typing import Any

import orjson

from ..common.errors import RejectedError
from ..contract.json_rows import InvalidRowsError
from ..contract.violation_json import as_json

#: The reason that a rejected request is counted under, by status; invalid rows are counted under "contract".
METRIC_REASONS = {
    400: "format",
    404: "version",
    405: "method",
    408: "timeout",
    409: "label",
    413: "size",
    415: "format",
    429: "overload",
    500: "failure",
    503: "unavailable",
}
#: The same for requests that are rejected for their credentials.
AUTH_METRIC_REASONS = {401: "credentials", 403: "permission", 503: "unverified"}


def status_of(error: RejectedError | InvalidRowsError) -> int:
    """Return the HTTP status of an error."""
    return 400 if isinstance(error, InvalidRowsError) else error.status


def error_json(error: RejectedError | InvalidRowsError) -> bytes:
    """Return the JSON of an error: a sentence and, if rows are invalid, the violations."""
    content: dict[str, Any] = {"error": str(error)}
    if isinstance(error, InvalidRowsError):
        content["problems"] = as_json(error.violations)
    return orjson.dumps(content)


def message_json(message: str) -> bytes:
    """Return the JSON of an error that is one sentence."""
    return orjson.dumps({"error": message})
