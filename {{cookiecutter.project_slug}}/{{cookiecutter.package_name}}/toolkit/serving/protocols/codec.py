"""The interface of a protocol: a codec decodes rows, and encodes predictions and errors. All else is the same."""

from __future__ import annotations

from typing import Any, Protocol

from ...common.errors import RejectedError
from ...contract.columns import Columns
from ...contract.json_rows import InvalidRowsError, RowParser, TooManyRowsError
from ...live.live_release import LiveVersion
from ...monitoring.metrics import REJECTED_REQUESTS
from ..errors import METRIC_REASONS, status_of


class Codec(Protocol):
    """Decodes a request of one protocol, and encodes the answer to it."""

    def decode(self, body: bytes, parser: RowParser, limit: int) -> tuple[int, Columns]:
        """Return the number of rows in a body, and their columns; `InvalidRowsError` or `RejectedError`."""
        ...

    def encode(self, predictions: Columns, ids: list[str], version: LiveVersion) -> bytes:
        """Return the answer; `ids` has one for each row, and without rows `predictions` is empty."""
        ...

    def encode_error(self, error: RejectedError | InvalidRowsError) -> bytes:
        """Return the answer to a request that is rejected."""
        ...


def reject(codec: Codec, error: RejectedError | InvalidRowsError) -> tuple[int, bytes]:
    """Return status and content of the answer to a request that is rejected, and count it."""
    status = status_of(error)
    reason = "contract" if isinstance(error, InvalidRowsError) else METRIC_REASONS[status]
    REJECTED_REQUESTS.labels(status, reason).inc()
    return status, codec.encode_error(error)


def load(body: bytes, parser: RowParser, limit: int) -> Any:
    """Return what a JSON body holds; ValueError if it is no JSON, `RejectedError` (413) for too many rows."""
    try:
        return parser.load(body, limit)
    except TooManyRowsError:
        raise RejectedError(413, f"at most {limit} rows are allowed per request (MAX_ROWS)") from None
