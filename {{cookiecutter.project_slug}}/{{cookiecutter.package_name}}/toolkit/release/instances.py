"""The instances of one deployment on this machine: who may listen, who does, and who is changing that.

An instance is a process, or a container, that serves. Beside the deployment's record `local.json` are

    local.lock             locked by the command that changes the deployment; the lock ends with its holder
    local-<id>.control     a Unix socket: tells the instance's state, hands over its listening socket, ends it
    local-<id>.http        a Unix socket: the instance's routes, before and after it listens on the port

The record names the one instance that may listen on the port. It is replaced atomically.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from ..common.errors import UserError
from ..common.unix_sockets import connect_unix

ANSWER_BYTES = 4096
#: Seconds that an instance may take to answer at its control socket.
ANSWER_SECONDS = 5


class InstanceState(BaseModel):
    """What an instance tells of itself; read by instances of later versions of this code, so keys never change."""

    id: str
    pid: int
    #: `ready`: every worker has loaded the release and waits for the listening socket.
    phase: Literal["starting", "ready", "serving", "draining"]
    address: str
    port: int
    started: datetime


class Instances(NamedTuple):
    """The instances of the deployment that a record describes."""

    record: Path

    def control(self, instance: str) -> Path:
        """Return the path of an instance's control socket."""
        return self.record.with_name(f"{self.record.stem}-{instance}.control")

    def http(self, instance: str) -> Path:
        """Return the path of the Unix socket at which an instance answers requests."""
        return self.record.with_name(f"{self.record.stem}-{instance}.http")

    def new(self) -> str:
        """Return the id of a new instance."""
        return secrets.token_hex(4)

    def named(self) -> str:
        """Return the id of the instance that may listen; "" if there is no record or it cannot be read."""
        try:
            return str(json.loads(self.record.read_bytes()).get("instance", ""))
        except (OSError, ValueError, AttributeError):
            return ""

    def states(self, *, but: str = "") -> list[InstanceState]:
        """Return the state of every instance that runs, but for one, whatever the record says."""
        found = (self.state(instance) for instance in self._ids() if instance != but)
        return [state for state in found if state]

    def serving(self, *, but: str = "") -> InstanceState | None:
        """Return the instance that listens on the port, None if there is none; one is not asked."""
        return next((state for state in self.states(but=but) if state.phase == "serving"), None)

    def state(self, instance: str) -> InstanceState | None:
        """Return the state of an instance, None if it does not run."""
        return self._ask(instance, "state")[0]

    def listener(self, instance: str) -> socket.socket | None:
        """Return an instance's listening socket, None as long as it has none; each caller gets a socket of its own."""
        return self._ask(instance, f"listener {os.getpid()}")[1]

    def drain(self, instance: str) -> None:
        """Make an instance close its listening socket, finish its requests and end."""
        self._ask(instance, "drain")

    def last_alive(self, instance: str) -> float | None:
        """Return when an instance that crashed was alive last (seconds since 1970), None if it ended by itself."""
        try:
            return self.control(instance).stat().st_mtime
        except OSError:
            return None

    def sweep(self) -> None:
        """Remove the sockets of instances that do not run."""
        for instance in self._ids():
            if self.state(instance) is None:
                self.control(instance).unlink(missing_ok=True)
                self.http(instance).unlink(missing_ok=True)

    @contextmanager
    def locked(self, purpose: str, seconds: float) -> Iterator[None]:
        """Hold the lock, after waiting at most some seconds for it; `UserError` names the process that holds it."""
        self.record.parent.mkdir(parents=True, exist_ok=True)
        # Not truncated, since it tells who holds the lock.
        with self._lock().open("a+") as lock:
            _acquire(lock, seconds, self._lock())
            os.fchmod(lock.fileno(), 0o644)  # instances look at it, in containers as another user
            lock.truncate(0)
            lock.write(f"process {os.getpid()} ({purpose})")
            lock.flush()
            try:
                yield
            finally:
                lock.truncate(0)

    def is_locked(self) -> bool:
        """Whether a command is changing the deployment."""
        try:
            with self._lock().open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def is_abandoned(self, instance: str) -> bool:
        """Whether the record does not name an instance, and no command is left that could change that."""
        # In this order: a record may be written until the lock is free.
        return not self.is_locked() and self.named() != instance

    def _lock(self) -> Path:
        return self.record.with_suffix(".lock")

    def _ids(self) -> list[str]:
        """Return the ids of all instances that have a control socket, those that have crashed among them."""
        found = self.record.parent.glob(f"{self.record.stem}-*.control")
        return sorted(path.stem.removeprefix(f"{self.record.stem}-") for path in found)

    def _ask(self, instance: str, question: str) -> tuple[InstanceState | None, socket.socket | None]:
        """Return what an instance answers at its control socket: its state, and a socket where it sends one."""
        try:
            with connect_unix(self.control(instance), ANSWER_SECONDS) as connection:
                connection.sendall(question.encode())
                answer, handles, _, _ = socket.recv_fds(connection, ANSWER_BYTES, 1)
                state = InstanceState.model_validate_json(answer)
                return state, socket.socket(fileno=handles[0]) if handles else None
        except (OSError, ValidationError):
            return None, None


def _acquire(lock: IO[str], seconds: float, path: Path) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() > deadline:
                holder = path.read_text() or "another process"
                raise UserError(
                    f"{holder[:1].upper()}{holder[1:]} is changing this deployment: wait for its end."
                ) from None
            time.sleep(0.1)
