"""The HTTP server: uvicorn, which listens when told, drains its connections, and ends with its master process."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from .http_protocol import TimedHttpProtocol

#: Seconds within which all requests end after a signal.
GRACE_SECONDS = 30
#: Seconds of these for which connections stay open: longer than idle ones do anyway (uvicorn's timeout of 5 s).
DRAIN_SECONDS = 6
#: The shortest time in seconds between two starts of a worker.
RESTART_SECONDS = 1.0

Take = Callable[[], socket.socket | None]
"""Returns the listening socket, None as long as there is none."""

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Answers at a Unix socket, if there is one, once it is started, and at the port once it is given a socket."""

    def __init__(self, app: str, take: Take, http: socket.socket | None, stopping: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                factory=True,
                http=TimedHttpProtocol,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS - DRAIN_SECONDS,
            )
        )
        self._take, self._http, self._stopping = take, http, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the application, then answer."""
        await super().startup(sockets=[])
        if self._http:
            self.servers.append(await asyncio.get_running_loop().create_unix_server(self._protocol, sock=self._http))
        self._accepting = asyncio.create_task(self._accept())

    async def _accept(self) -> None:
        """Listen on the port, as soon as there is a socket."""
        while not self.should_exit:
            if listener := await asyncio.to_thread(self._take):
                loop = asyncio.get_running_loop()
                server = await loop.create_server(self._protocol, sock=listener, backlog=self.config.backlog)
                self.servers.append(server)
                return
            await asyncio.sleep(0.05)

    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        made = protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return cast(asyncio.Protocol, made)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; ask callers to close their connections, and close those that stay after a while."""
        self._stopping()
        self._accepting.cancel()
        for server in self.servers:
            server.close()
        if signal.SIGINT not in self._captured_signals:
            await self._drain()
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        state, deadline = self.server_state, time.monotonic() + DRAIN_SECONDS
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        # Connections that were accepted a moment ago are not in the set yet.
        await asyncio.sleep(0.1)
        while state.connections and not self.force_exit and time.monotonic() < deadline:
            await asyncio.sleep(0.05)


def serve(app: str, take: Take, http: socket.socket | None = None, stopping: Callable[[], None] = lambda: None) -> None:
    """Serve an application in this process until a signal arrives; `stopping` is called when no more is accepted."""
    server = Server(app, take, http, stopping)
    # Once it has ended, uvicorn raises the signals again that it got.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    server.run()


def serve_with_workers(
    workers: int, app: str, take: Take, http: socket.socket | None = None, stopping: Callable[[], None] = lambda: None
) -> None:
    """Serve an application in worker processes until a signal arrives; they end with this process, however it ends."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    processes = [_start(app, take, http) for _ in range(workers)]
    code = _supervise(processes, lambda: _start(app, take, http), stopped)
    stopping()
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()
    sys.exit(code)


def _start(app: str, take: Take, http: socket.socket | None) -> SpawnProcess:
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(app, take, http))
    process.start()
    return process


def _supervise(processes: list[SpawnProcess], start: Callable[[], SpawnProcess], stopped: threading.Event) -> int:
    """Replace workers that end, and return the exit code: not 0 if one of the first does not start."""
    replaced_at = [0.0] * len(processes)
    while not stopped.is_set():
        wait([process.sentinel for process in processes], timeout=0.2)
        for place, process in enumerate(processes):
            if process.exitcode is None or stopped.is_set():
                continue
            if process.exitcode == STARTUP_FAILURE and not replaced_at[place]:
                return STARTUP_FAILURE
            if time.monotonic() < replaced_at[place] + RESTART_SECONDS:
                stopped.wait(RESTART_SECONDS)
            log.error("worker %s ended with exit code %s and is replaced", process.pid, process.exitcode)
            replaced_at[place], processes[place] = time.monotonic(), start()
    return 0


def _work(app: str, take: Take, http: socket.socket | None) -> None:
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        serve(app, take, http)
    except Exception:
        log.exception("the worker did not start")
        sys.exit(STARTUP_FAILURE)


def _end_with_parent() -> None:
    """End this process after its parent: it finishes its requests, but does not accept more."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    with suppress(ProcessLookupError):
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)
