"""The record of the background process that serves, kept in a file while the process runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import BaseModel, ValidationError

from ..store import Release

#: Seconds that a process may take to finish its requests and end.
STOP_SECONDS = 40


class ProcessRecord(BaseModel):
    """A process that serves; its JSON is read by later versions of this code, so its keys never change."""

    pid: int
    #: When the process began, by the system's clock: another process may get the same number later.
    began: float
    port: int
    release: Release
    started: datetime
    #: Hash of the code and settings that the process was started with; others need another process.
    fingerprint: str = ""

    @classmethod
    def of(cls, pid: int, port: int, release: Release, fingerprint: str) -> ProcessRecord:
        """Return the record of a process that was just started."""
        began, started = psutil.Process(pid).create_time(), datetime.now(UTC)
        return cls(pid=pid, began=began, port=port, release=release, started=started, fingerprint=fingerprint)

    @classmethod
    def read(cls, path: Path) -> ProcessRecord | None:
        """Return the record in a file, None if there is none or the process has ended."""
        try:
            record = cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return record if record.process() else None

    def write(self, path: Path) -> None:
        """Write the record to a file."""
        path.write_text(self.model_dump_json(indent=1))

    def process(self) -> psutil.Process | None:
        """Return the process if it still runs."""
        try:
            process = psutil.Process(self.pid)
            alive = abs(process.create_time() - self.began) < 2 and process.status() != psutil.STATUS_ZOMBIE
            return process if alive else None
        except psutil.NoSuchProcess:
            return None

    def stop(self) -> None:
        """Stop the process after the requests in progress; kill it if that takes too long."""
        process = self.process()
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
