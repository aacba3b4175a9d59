"""The prediction log and the feedback log: JSON lines, in append-only files of each process' own.

No file has two writers, so nothing is locked, and a crash can cut off no more than the last line of a file.
"""

from __future__ import annotations

import errno
import logging
import os
import queue
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from .metrics import DROPPED_ROWS, LOGGED_ROWS

#: A file of this size is closed, and a new one opened.
FILE_BYTES = 64_000_000
#: Blocks of lines in the queue; at ten a second the disk may hang for half a minute before any is dropped.
MAX_QUEUED_BLOCKS = 300
#: Bytes in the queue: all of it is memory.
MAX_QUEUED_BYTES = 100_000_000

log = logging.getLogger(__name__)


class LogFile:
    """Appends lines to files `<name>-<time>-<process>-<count>.jsonl` of a folder, and removes the oldest of them.

    Each file has at most `file_bytes`, all of them together at most `total_bytes`.
    """

    def __init__(self, folder: Path, name: str, total_bytes: int, *, file_bytes: int = FILE_BYTES) -> None:
        self._folder, self._name = folder, name
        self._total_bytes, self._file_bytes = total_bytes, file_bytes
        self._count = 0
        self._file: int | None = None

    @property
    def folder(self) -> Path:
        """The folder of the files."""
        return self._folder

    def append(self, lines: bytes) -> None:
        """Write lines and flush them to the disk; on an `OSError` none of them is kept."""
        if len(lines) > self._file_bytes:  # room for it would cost the files of many earlier rows
            raise OSError(errno.EFBIG, f"{len(lines)} bytes at once; a file of the log has {self._file_bytes} at most")
        self._close_if_removed()
        size = 0 if self._file is None else os.fstat(self._file).st_size
        if self._file is None or size + len(lines) > self._file_bytes:
            self._open_next()
            size = 0
        assert self._file is not None
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, size)
            raise

    def close(self) -> None:
        """Close the file; the next append opens another."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _close_if_removed(self) -> None:
        # Nobody would see what is appended to a removed file.
        if self._file is not None and os.fstat(self._file).st_nlink == 0:
            self.close()

    def _open_next(self) -> None:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        while self._file is None:
            self._count += 1
            path = self._folder / f"{self._name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{self._count}.jsonl"
            with suppress(FileExistsError):  # of a process in another container
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        self._prune(path)

    def _prune(self, current: Path) -> None:
        """Remove the oldest files, until the others and a full current one are within the limit."""
        files = [(path.stat(), path) for path in self._folder.glob(f"{self._name}-*.jsonl") if path != current]
        total = sum(stat.st_size for stat, _ in files)
        for stat, path in sorted(files, key=lambda file: file[0].st_mtime):
            if total <= self._total_bytes - self._file_bytes:
                break
            path.unlink(missing_ok=True)
            total -= stat.st_size


class PredictionLog:
    """Writes lines in a thread of its own, so that no request waits for the disk; counts rows that it cannot write."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._queue: queue.Queue[tuple[bytes, int] | None] = queue.Queue(MAX_QUEUED_BLOCKS)
        self._thread: threading.Thread | None = None
        self._last_error = ""
        #: Bytes put into the queue, and bytes taken from it and dealt with; each has one thread that counts.
        self._put_bytes = self._done_bytes = 0
        for reason in ("behind", "refused"):  # values of a label, which alerts name
            DROPPED_ROWS.labels(reason)

    def put(self, lines: bytes, rows: int) -> None:
        """Queue lines, which hold a number of rows, to be written; if the queue is full, they are dropped."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="prediction log", daemon=True)
            self._thread.start()
        try:
            if self._put_bytes - self._done_bytes > MAX_QUEUED_BYTES:
                raise queue.Full
            self._queue.put_nowait((lines, rows))
        except queue.Full:
            self._drop(rows, "behind", "the disk is too slow for the number of predictions")
        else:
            self._put_bytes += len(lines)

    def close(self, seconds: float = 5) -> None:
        """Write what is in the queue, and end the thread."""
        if self._thread is not None and self._thread.is_alive():
            with suppress(queue.Full):
                self._queue.put(None, timeout=seconds)
                self._thread.join(seconds)
        self._thread = None

    def _write(self) -> None:
        while (block := self._queue.get()) is not None:
            lines, rows = block
            try:
                self._file.append(lines)
            except OSError as error:
                self._drop(rows, "refused", str(error))
            else:
                LOGGED_ROWS.inc(rows)
                if self._last_error:
                    log.warning("predictions are logged again")
                    self._last_error = ""
            self._done_bytes += len(lines)
        self._file.close()

    def _drop(self, rows: int, reason: str, error: str) -> None:
        DROPPED_ROWS.labels(reason).inc(rows)
        if error != self._last_error:  # one message, not thousands
            log.error("predictions are answered but not logged: %s", error)
            self._last_error = error
