"""The hand-over of the listening socket from one instance of a deployment to the next.

An instance loads its release, then waits until the deployment's record names it. Only then it listens, on the socket
that the instance before hands over: connections that wait in its queue stay there. The instance before stops accepting
and drains. An instance that is not named when the command that started it has ended, ends too.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType

from ..common.errors import UserError
from ..common.unix_sockets import listen_unix
from ..release.instances import Instances, InstanceState

#: Seconds between two looks at the record, and, in service, between two signs of life.
POLL_SECONDS, ALIVE_SECONDS = 0.05, 1.0
#: Connections that wait in the queue.
BACKLOG = 2048
#: Seconds for which the port may stay in use after the instance before was told to end.
RELEASE_SECONDS = 45
#: Seconds for which it may stay in use after an instance has crashed, whose workers then end.
ENDING_SECONDS = 2


log = logging.getLogger(__name__)


class Handover:
    """An instance's listening socket: taken over, kept for the workers, and handed over, in a thread."""

    def __init__(
        self,
        instances: Instances,
        instance: str,
        address: str,
        port: int,
        *,
        workers: int,
        bind: Callable[..., socket.socket],
    ) -> None:
        self._instances, self._instance, self._workers, self._bind = instances, instance, workers, bind
        self._state = InstanceState(
            id=instance, pid=os.getpid(), phase="starting", address=address, port=port, started=datetime.now(UTC)
        )
        #: The processes that wait for the listening socket.
        self._waiting: set[str] = set()
        self._lock = threading.Lock()
        self._listener = self._first_listener()
        self._control = listen_unix(instances.control(instance))
        self.http = listen_unix(instances.http(instance))
        self._thread = threading.Thread(target=self._run, name="handover", daemon=True)

    def __enter__(self) -> Handover:
        """Start to answer at the control socket."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave no trace: a control socket that stays behind tells of a crash."""
        self.stop()
        self._instances.control(self._instance).unlink(missing_ok=True)
        self._instances.http(self._instance).unlink(missing_ok=True)

    def stop(self) -> None:
        """Close the listening socket, so that the port is free as soon as the workers do the same."""
        with self._lock:
            self._state.phase = "draining"
            if self._listener:
                self._listener.close()
                self._listener = None

    def _first_listener(self) -> socket.socket | None:
        """Return the socket to listen on later: of the instance before, or bound now; None if that holds the port."""
        before = self._instances.serving()
        if before is None and self._instances.record.exists() and not self._instances.named():
            return None  # a process of an earlier template, which has no control socket
        if before and before.port == self._state.port:
            return self._instances.listener(before.id) if before.address == self._state.address else None
        return self._bind(wait=ENDING_SECONDS)

    def _run(self) -> None:
        while True:
            self._control.settimeout(POLL_SECONDS if self._is_candidate else ALIVE_SECONDS)
            try:
                with self._control.accept()[0] as connection:
                    connection.settimeout(ALIVE_SECONDS)
                    self._answer(connection)
            except TimeoutError:
                pass
            except OSError:  # the caller has gone
                time.sleep(POLL_SECONDS)
            if self._is_candidate:
                self._consider()
            elif self._state.phase == "serving":
                with suppress(OSError):
                    os.utime(self._instances.control(self._instance))

    @property
    def _is_candidate(self) -> bool:
        return self._state.phase in ("starting", "ready")

    def _answer(self, connection: socket.socket) -> None:
        question, _, sender = connection.recv(100).decode(errors="replace").partition(" ")
        if question == "drain" and self._state.phase == "serving":
            self.stop()
            os.kill(os.getpid(), signal.SIGTERM)
        elif question == "listener" and self._state.phase == "starting":
            self._waiting.add(sender)
            if len(self._waiting) == self._workers:
                self._state.phase = "ready"
        answer = self._state.model_dump_json().encode()
        with self._lock:
            if question == "listener" and self._state.phase == "serving" and self._listener:
                socket.send_fds(connection, [answer], [self._listener.fileno()])
                return
        connection.sendall(answer)

    def _consider(self) -> None:
        """Listen if the record names this instance; end if nobody is left who could name it."""
        if self._instances.named() == self._instance:
            self._take_over()
        elif self._instances.is_abandoned(self._instance):
            os.kill(os.getpid(), signal.SIGTERM)
            self.stop()

    def _take_over(self) -> None:
        # Not itself, which could not answer now.
        before = self._instances.serving(but=self._instance)
        try:
            if self._listener is None:
                # Its address overlaps that of the instance before: the system gives the port to one of them.
                if before:
                    self._instances.drain(before.id)
                self._listener = self._bind(wait=RELEASE_SECONDS)
            self._listener.listen(BACKLOG)
        except (UserError, OSError) as error:
            log.error("The service does not get the port: %s", error)
            os.kill(os.getpid(), signal.SIGTERM)
            self.stop()
            return
        with self._lock:
            self._state.phase = "serving"
        if before:
            self._instances.drain(before.id)
