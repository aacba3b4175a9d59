"""Limits of the service: how much one request may bring, and how many requests may wait."""

from __future__ import annotations

from typing import NamedTuple

from ..common.errors import RejectedError

#: Bytes of a key, which the log keeps: a customer number, a session, a UUID.
MAX_KEY_BYTES = 256
#: Rows in one request for explanations: each costs thousands of predictions.
MAX_EXPLAINED_ROWS = 100
#: The key under which the lifespan state has the setting of this name, for the server; without it there is no limit.
READ_SECONDS = "read_seconds"
#: The key in the scope of a request that has arrived as a whole.
COMPLETE = "complete"


class Limits(NamedTuple):
    """The limits that are settings: MAX_ROWS, MAX_BYTES, MAX_WAITING, MAX_BYTES_IN_FLIGHT, READ_SECONDS, STRICT."""

    max_rows: int
    max_bytes: int
    #: Scoring requests in progress at once, in one process.
    max_waiting: int = 1000
    #: Bytes of the bodies of all requests in progress, in one process.
    max_bytes_in_flight: int = 200_000_000
    #: Seconds that the header of a request may take, and its body.
    read_seconds: float = 30
    #: Whether a table with unknown or missing columns is rejected.
    strict: bool = False


def check_key(key: bytes) -> None:
    """Raise `RejectedError` (400) if a key is longer than it may be."""
    if len(key) > MAX_KEY_BYTES:
        raise RejectedError(400, f"the key (header X-Key) has {len(key)} bytes; at most {MAX_KEY_BYTES} are allowed")


def check_row_count(rows: int, limit: int) -> None:
    """Raise `RejectedError` (413) if a request has more rows than it may have."""
    if rows > limit:
        raise RejectedError(413, f"{rows} rows; at most {limit} rows are allowed per request (MAX_ROWS)")
