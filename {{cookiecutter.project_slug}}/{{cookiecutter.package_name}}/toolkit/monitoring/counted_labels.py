"""The labels that the service has counted, so that one that is sent again is not counted again.

A file beside the feedback log, which all workers of a folder share and which outlives them, with a place for 2 million
labels. A label's place follows from its id; the oldest of eight gives way. So the last half million labels are known,
but for one of a thousand, and of older ones those whose place nobody needed. Without the file, every label is new.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

#: The file has so many bytes at most.
BUCKETS, PLACES = 2**18, 8
#: A label: 64 bits of the prediction's id, 64 bits of the actual labels. Zeros are an empty place.
ENTRY = np.dtype([("id", "<u8"), ("label", "<u8")])
BUCKET_BYTES = PLACES * ENTRY.itemsize

log = logging.getLogger(__name__)


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
        places = np.flatnonzero(bucket["id"] == id_number)
        return int(bucket["label"][places[0]]) if len(places) else None

    def add(self, id_number: int, label_number: int) -> None:
        """Note that a label was counted, or another label sent for its id."""
        try:
            bucket = self._read(id_number)
            places = np.flatnonzero(bucket["id"] == id_number)
            last = int(places[0]) if len(places) else PLACES - 1
            bucket[1 : last + 1] = bucket[:last].copy()
            bucket[0] = id_number, label_number
            os.pwrite(self._descriptor(), bucket.tobytes(), _position(id_number))
        except OSError as error:
            self._fail(error)

    def _read(self, id_number: int) -> np.ndarray:
        content = os.pread(self._descriptor(), BUCKET_BYTES, _position(id_number))
        return np.frombuffer(bytearray(content.ljust(BUCKET_BYTES, b"\0")), ENTRY)

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
    return id_number % BUCKETS * BUCKET_BYTES
