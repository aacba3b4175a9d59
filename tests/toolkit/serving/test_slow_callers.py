"""Callers who send slowly, too much at once, or never the rest: a real server, and what it holds and answers."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.serving.app import Routes, ScoringMiddleware
from titanic_survival.toolkit.serving.http_protocol import TimedHttpProtocol
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.scoring import Scorer

MAX_BYTES = 1_000_000
READ_SECONDS = 1.0
PATIENCE = 15


async def behind(scope: Any, receive: Any, send: Any) -> None:
    """Stand for the routes of a project's own: answer how many bytes came."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % len(message["body"])})


class Running:
    """A service that runs."""

    def __init__(self, server: uvicorn.Server, thread: threading.Thread, routes: Routes, port: int) -> None:
        self.server, self.thread, self.routes, self.port = server, thread, routes, port

    def send(self, data: bytes) -> socket.socket:
        """Return a connection on which some data was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        connection.sendall(data)
        return connection

    def stop(self) -> None:
        """End as after a signal."""
        self.server.should_exit = True
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


def header(path: str, size: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n".encode()
    )


def read_all(connection: socket.socket) -> bytes:
    """Return what a connection brings until the service closes it."""
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


Serve = Callable[..., AbstractContextManager[Running]]


@pytest.fixture(scope="module")
def serve(served: Path) -> Serve:
    @contextmanager
    def serve(
        read_seconds: float = READ_SECONDS, in_flight: int = 10 * MAX_BYTES, grace: int = 10
    ) -> Iterator[Running]:
        live = LiveRelease(served)
        live.load()
        limits = Limits(1000, MAX_BYTES, max_bytes_in_flight=in_flight, read_seconds=read_seconds)
        routes = Routes(Scorer(live, limits), LogFile(served.parent / "log", "feedback", 0), title="", description="")
        config = uvicorn.Config(
            ScoringMiddleware(behind, routes), http=TimedHttpProtocol, log_config=None, timeout_graceful_shutdown=grace
        )
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        running = Running(server, thread, routes, listener.getsockname()[1])
        try:
            yield running
        finally:
            running.stop()

    return serve


@pytest.mark.parametrize("path", ["/predict", "/invocations", "/explain", "/feedback", "/of_my_own"])
def test_a_body_that_stays_unfinished_gets_408_and_holds_nothing(serve: Serve, path: str) -> None:
    with serve() as running:
        connection = running.send(header(path, 900_000) + b"[" + b" " * 500_000)
        answer = read_all(connection)
        assert status(answer) == 408
        assert "READ_SECONDS" in str(json.loads(answer.partition(b"\r\n\r\n")[2]))
        assert running.routes.bodies.bytes_in_flight == 0


@pytest.mark.parametrize("sent", [b"", b"POST /predict HTTP/1.1\r\n", b"POST /predict HTTP/1.1\r\nx-slow: "])
def test_a_header_that_stays_unfinished_is_not_waited_for(serve: Serve, sent: bytes) -> None:
    with serve() as running:
        connection, closed = running.send(sent), threading.Event()
        answer: list[bytes] = []

        def wait() -> None:
            answer.append(read_all(connection))
            closed.set()

        threading.Thread(target=wait).start()
        deadline = time.monotonic() + PATIENCE
        while sent and not closed.wait(0.2) and time.monotonic() < deadline:  # a byte now and then is no progress
            try:
                connection.sendall(b"a")
            except OSError:
                break
        assert closed.wait(PATIENCE)
        assert answer == [b""] if not sent else status(answer[0]) == 408


def test_the_rest_of_a_body_that_was_rejected_is_not_waited_for(serve: Serve) -> None:
    with serve() as running:
        connection = running.send(header("/predict", 2 * MAX_BYTES) + b"[")
        assert status(read_all(connection)) == 413


def test_a_slow_model_is_no_slow_caller(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(self: Any, *given: Any) -> tuple[int, bytes]:
        await asyncio.sleep(3 * 0.4 + 2.5)
        return 200, b"[]"

    monkeypatch.setattr(Scorer, "answer", answer)
    with serve(read_seconds=0.4) as running:
        connection = running.send(header("/predict", 2) + b"[]")
        assert status(connection.recv(1000)) == 200


def test_bytes_in_flight_are_bounded_over_all_requests(serve: Serve) -> None:
    with serve(read_seconds=4, in_flight=2 * MAX_BYTES) as running:
        part = b"[" + b" " * 899_999
        waiting = [running.send(header("/predict", 900_001) + part) for _ in range(2)]
        deadline = time.monotonic() + PATIENCE
        while running.routes.bodies.bytes_in_flight < 2 * len(part) and time.monotonic() < deadline:
            time.sleep(0.01)
        for path in ("/predict", "/of_my_own"):
            answer = running.send(header(path, 900_001) + part).recv(1000)
            assert status(answer) == 429
            assert b"retry-after: 1" in answer
            assert b"MAX_BYTES_IN_FLIGHT" in answer
        for connection in waiting:
            connection.sendall(b"]")
            assert status(connection.recv(1000)) == 200
        connection = running.send(header("/of_my_own", 900_000) + part)
        assert b"900000" in connection.recv(1000)


def test_an_endpoint_of_a_project_gets_no_body_above_the_limit(serve: Serve) -> None:
    with serve() as running:
        chunk = b"%x\r\n%s\r\n" % (600_000, b" " * 600_000)
        chunked = header("/of_my_own", 1).replace(b"content-length: 1", b"transfer-encoding: chunked") + 2 * chunk
        assert status(running.send(chunked).recv(1000)) == 413


@pytest.mark.parametrize("path", ["/predict", "/of_my_own"])
def test_the_end_of_the_service_gives_an_unfinished_request_neither_500_nor_a_traceback(
    serve: Serve, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(read_seconds=60, grace=1) as running:
        connection = running.send(header(path, 900_000) + b"[" + b" " * 100_000)
        deadline = time.monotonic() + PATIENCE
        while not running.routes.bodies.bytes_in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        with caplog.at_level(logging.INFO):
            running.stop()
        assert status(read_all(connection)) == 503
    assert not [record for record in caplog.records if record.exc_info]


def test_a_caller_who_goes_leaves_nothing_behind(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scorer, "answer", None)  # half of a body must not be scored
    with serve() as running:
        connection = running.send(header("/predict", 900_000) + b"[" + b" " * 100_000)
        deadline = time.monotonic() + PATIENCE
        while not running.routes.bodies.bytes_in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        connection.close()
        while running.routes.bodies.bytes_in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        assert running.routes.bodies.bytes_in_flight == 0
