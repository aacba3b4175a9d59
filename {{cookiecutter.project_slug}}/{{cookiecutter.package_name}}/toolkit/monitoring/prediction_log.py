"""The log of predictions and feedback: JSON lines in files that are only appended to, each process' own.

A file is never shared, so that nothing has to be locked and a crash can tear no more than the last line of one.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from .metrics import LOG_DROPPED, LOGGED

#: A file that has grown to this is left for a new one.
FILE_BYTES = 64_000_000
#: Blocks of lines that wait for the disk; at ten a second it may hang for half a minute before any are dropped.
WAITING = 300

log = logging.getLogger(__name__)


class LogFile:
    """Lines of one kind in the files `<name>-<time>-<process>-<count>.jsonl` of a folder."""

    def __init__(self, folder: Path, name: str, total_bytes: int, *, file_bytes: int = FILE_BYTES) -> None:
        self._folder, self._name = folder, name
        self._total_bytes, self._file_bytes = total_bytes, file_bytes
        self._count = 0
        self._file: int | None = None

    def append(self, lines: bytes) -> None:
        """Write lines and have them on the disk; `OSError` if it does not take them, and none of them is kept."""
        size = self._size()
        if self._file is None or size + len(lines) > self._file_bytes:
            self._renew()
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
        """Leave the file; the next line opens another."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _size(self) -> int:
        if self._file is None:
            return 0
        found = os.fstat(self._file)
        if found.st_nlink == 0:  # somebody has removed it, and would never see another line
            self.close()
        return found.st_size

    def _renew(self) -> None:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._count += 1
        path = self._folder / f"{self._name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{self._count}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        self._prune(path)

    def _prune(self, own: Path) -> None:
        """Remove the files that were left longest ago, until the others fit."""
        files = [(path.stat(), path) for path in self._folder.glob(f"{self._name}-*.jsonl") if path != own]
        total = sum(found.st_size for found, _ in files)
        for found, path in sorted(files, key=lambda file: file[0].st_mtime):
            if total <= self._total_bytes - self._file_bytes:
                break
            path.unlink(missing_ok=True)
            total -= found.st_size


class PredictionLog:
    """Writes lines in a thread of its own: a slow disk slows nobody, and what a full one does not take is counted."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._waiting: queue.Queue[tuple[bytes, int] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._said = ""
        for reason in ("behind", "refused"):
            LOG_DROPPED.labels(reason)

    def put(self, lines: bytes, rows: int) -> None:
        """Have lines with some rows written soon; if the disk is too far behind, they are dropped."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="prediction log", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait((lines, rows))
        except queue.Full:
            self._drop(rows, "behind", "the disk does not keep up with the predictions")

    def close(self, seconds: float = 5) -> None:
        """Write what waits, and end the thread."""
        if self._thread is not None and self._thread.is_alive():
            with suppress(queue.Full):
                self._waiting.put(None, timeout=seconds)
                self._thread.join(seconds)
        self._thread = None

    def _write(self) -> None:
        while (block := self._waiting.get()) is not None:
            lines, rows = block
            try:
                self._file.append(lines)
            except OSError as error:
                self._drop(rows, "refused", str(error))
            else:
                LOGGED.inc(rows)
                if self._said:
                    log.warning("predictions are logged again")
                    self._said = ""
        self._file.close()

    def _drop(self, rows: int, reason: str, text: str) -> None:
        LOG_DROPPED.labels(reason).inc(rows)
        if text != self._said:  # once, not for each of thousands
            log.error("predictions are answered and not logged: %s", text)
            self._said = text
