"""A Bento that is served once, on a port of this machine, by an environment of its own libraries."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from ..common.sockets import free_port

#: Seconds that the service may take to end.
STOP_SECONDS = 15
TIMEOUT_SECONDS = 30
#: Beginnings of variables that would have it find the project's code or registry, or mix its metrics with others'.
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MLFLOW_", "PROMETHEUS_MULTIPROC_DIR")


class StartedBento:
    """A service of BentoML in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._process, self._port, self._log = process, port, log

    def ask(self, path: str, body: str) -> str | None:
        """Return the answer to a POST request, None as long as the service does not answer with 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.read().decode() if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def has_ended(self) -> bool:
        """Whether its process has ended by itself."""
        return self._process.poll() is not None

    def log(self) -> str:
        """Return what it has printed."""
        return self._log.read_text(errors="replace")


@contextmanager
def started_bento(python: Path, bento: Path, settings: Container[str]) -> Iterator[StartedBento]:
    """Serve the folder of a Bento by an interpreter and what is installed beside it, until the block ends.

    The environment variables of `settings`, in small letters, are left out: the service runs with the defaults.
    """
    port = free_port()
    command = [str(python), "-m", "bentoml", "serve", str(bento), "--host", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryDirectory(prefix="bento-") as scratch:
        log = Path(scratch) / "log"
        kept = {k: v for k, v in os.environ.items() if k.lower() not in settings and not k.startswith(FOREIGN)}
        # Nothing is written into the Bento, and nothing beside it.
        own = {"LOG_FOLDER": scratch, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": scratch}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=scratch, env=kept | own, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            yield StartedBento(process, port, log)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a service and its workers; those that do not end are killed."""
    if process.poll() is not None:
        return
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(workers, timeout=1)
    for worker in left:
        worker.kill()
