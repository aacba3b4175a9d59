"""The record of the background process that serves, kept in a file beside the store's release."""

from __future__ import annotations

import os
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
    #: The id of the instance that may listen; "" for a process of an earlier template, which hands over no socket.
    instance: str = ""

    @classmethod
    def of(cls, pid: int, port: int, release: Release, fingerprint: str, instance: str = "") -> ProcessRecord:
        """Return the record of a process that was just started."""
        began, started = psutil.Process(pid).create_time(), datetime.now(UTC)
        return cls(
            pid=pid,
            began=began,
            port=port,
            release=release,
            started=started,
            fingerprint=fingerprint,
            instance=instance,
        )

    @classmethod
    def read(cls, path: Path) -> ProcessRecord | None:
        """Return the record in a file, whether the process runs or not; None without one, or if it cannot be read."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write(self, path: Path) -> None:
        """Replace the record in a file atomically."""
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("w") as file:
            file.write(self.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)

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
        if process:
            process.terminate()
            wait_or_kill(process)


def wait_or_kill(process: psutil.Process) -> None:
    """Wait until a process that was told to end has ended; kill it if that takes too long."""
    try:
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
