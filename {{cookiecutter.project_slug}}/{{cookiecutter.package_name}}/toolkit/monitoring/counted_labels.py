"""The labels that the service has counted, so that one that is sent again is not counted again.

A file beside the feedback log, which all workers of a folder share and which outlives them, with a place for 2 million
labels. A label's place follows from its id; the oldest of eight gives way. So the last half million labels are known,
but for one of a thousand, and of older ones those whose place nobody needed. Without the file, every label is new.
"""

from __future__ import annotations

import logging
import os
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Any

import orjson

#: The file has so many bytes at most.
BUCKETS, PLACES = 2**18, 8
#: Of each label, 64 bits of the prediction's id, and 64 bits of the actual labels. Zeros are an empty place.
BUCKET = Struct(f"<{2 * PLACES}Q")

log = logging.getLogger(__name__)


def number_of(content: Any) -> int:
    """Return 64 bits for what JSON can have: those of two ids among ten million differ."""
    return int.from_bytes(blake2b(orjson.dumps(content), digest_size=8).digest(), "little")


class CountedLabels:
    """Knows which labels were counted, by the numbers of their ids and of their actual labels."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._last_error = ""

    def find(self, id_number: int) -> int | None:
        """Return the number of the label that was counted for an id; None if there is none, or it is forgotten."""
        try:
            bucket = self._read(id_number)
        except OSError as error:
            self._fail(error)
            return None
        ids = bucket[::2]
        return bucket[2 * ids.index(id_number) + 1] if id_number in ids else None

    def add(self, id_number: int, label_number: int) -> None:
        """Note that a label was counted, or another label sent for its id."""
        try:
            bucket = self._read(id_number)
            ids = bucket[::2]
            place = 2 * (ids.index(id_number) if id_number in ids else PLACES - 1)
            new = (id_number, label_number, *bucket[:place], *bucket[place + 2 :])
            os.pwrite(self._descriptor(), BUCKET.pack(*new), _position(id_number))
        except OSError as error:
            self._fail(error)

    def _read(self, id_number: int) -> tuple[int, ...]:
        content = os.pread(self._descriptor(), BUCKET.size, _position(id_number))
        return BUCKET.unpack(content.ljust(BUCKET.size, b"\0"))

    def _descriptor(self) -> int:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Not mapped into memory: on a full disk that ends the process.
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._file

    def _fail(self, error: OSError) -> None:
        if str(error) != self._last_error:  # one message, not thousands
            self._last_error = str(error)
            log.warning("labels that are sent twice may be counted twice: %s", error)


def _position(id_number: int) -> int:
    return id_number % BUCKETS * BUCKET.size
