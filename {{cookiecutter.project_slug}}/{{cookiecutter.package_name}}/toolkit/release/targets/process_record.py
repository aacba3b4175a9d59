"""The record of the background process that serves, kept in a file beside the store's release."""

from __future__ import annotations

from datetime import UTC, datetime

import psutil

from ..store import Release
from .file_record import FileRecord

#: Seconds that a process may take to finish its requests and end.
STOP_SECONDS = 40


class ProcessRecord(FileRecord):
    """A process that serves, or did: it may have ended."""

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
