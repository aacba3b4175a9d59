"""The interface of a protocol: how it reads rows and writes predictions and errors. All else is the same for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from ...common.errors import RejectedError
from ...contract.columns import Columns
from ...contract.json_rows import InvalidRowsError, RowParser
from ...monitoring.metrics import REJECTED_REQUESTS
from ..errors import status_of
from ..live_release import LiveVersion

#: Why a request is rejected, as the metric has it, by status.
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


class Exchange(Protocol):
    """One request in some protocol, and the answer to it."""

    def read(self, body: bytes, parser: RowParser, limit: int) -> tuple[int, Columns]:
        """Return the number of rows in a body, and their columns; `InvalidRowsError` or `RejectedError`."""
        ...

    def write(self, predictions: Columns, ids: list[str], version: LiveVersion) -> bytes:
        """Return the answer; `ids` has one for each row, and without rows `predictions` is empty."""
        ...

    def write_error(self, error: RejectedError | InvalidRowsError) -> bytes:
        """Return the answer to a request that is rejected."""
        ...


def reject(exchange: Exchange, error: RejectedError | InvalidRowsError) -> tuple[int, bytes]:
    """Return status and content of the answer to a request that is rejected, and count it."""
    status = status_of(error)
    REJECTED_REQUESTS.labels(status, "contract" if isinstance(error, InvalidRowsError) else REASONS[status]).inc()
    return status, exchange.write_error(error)


def records(predictions: Columns, **more: Iterable[Any]) -> list[dict[str, Any]]:
    """Return one dict a row, with the values of `more` at the end.

    Numbers stay NumPy's float32, which orjson writes in the shortest form that reads back as the same float32.
    """
    names = (*predictions, *more)
    values = [
        list(np.ascontiguousarray(array)) if array.dtype == np.float32 else array.tolist()
        for array in predictions.values()
    ]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, *more.values(), strict=True)]
