"""Ports: whose they are."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from titanic_survival import config, mlflow_ui
from titanic_survival.toolkit.common import sockets
from titanic_survival.toolkit.common.errors import UserError


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port that another program uses."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_port_of_another_program_is_named(taken: int) -> None:
    with pytest.raises(UserError, match=rf"127\.0\.0\.1:{taken} cannot be used"):
        sockets.listen("127.0.0.1", taken)


def test_port_is_never_shared() -> None:
    with sockets.listen("127.0.0.1", 0) as first:
        # As a service of an earlier template does, which shares its port with the process that replaces it.
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        first.listen()
        with pytest.raises(UserError, match="cannot be used"):
            sockets.listen("127.0.0.1", first.getsockname()[1])


def test_port_that_becomes_free_is_waited_for(taken: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        timer = threading.Timer(0.3, other.close)
        timer.start()
        sockets.listen("127.0.0.1", port, wait=10).close()
        timer.join()
    start = time.monotonic()
    with pytest.raises(UserError, match="cannot be used"):
        sockets.listen("127.0.0.1", taken, wait=0.3)
    assert time.monotonic() - start >= 0.3


def test_free_port_can_be_listened_on() -> None:
    sockets.listen("127.0.0.1", sockets.free_port()).close()


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:3000"),
        ("0.0.0.0", "http://127.0.0.1:3000"),
        ("::1", "http://[::1]:3000"),
        ("::", "http://127.0.0.1:3000"),
    ],
)
def test_url_can_be_opened_on_this_machine(address: str, url: str) -> None:
    assert sockets.url(address, 3000) == url


def test_mlflow_over_a_taken_port_names_another(trained: config.Settings, taken: int) -> None:
    with pytest.raises(UserError, match=f"--port {taken + 1}"):
        mlflow_ui.run(trained, taken)


def test_mlflow_where_a_server_records_the_runs_is_not_needed(trained: config.Settings) -> None:
    settings = trained.model_copy(update={"mlflow_tracking_uri": "https://mlflow.example.com"})
    with pytest.raises(UserError, match=r"open that address"):
        mlflow_ui.run(settings, 5000)
