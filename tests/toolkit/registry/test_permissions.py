"""Authorization by MLflow: its answer decides, is cached for a time, and nothing else authorizes a caller."""

import asyncio
import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from titanic_survival.toolkit.common.errors import RejectedError, UserError
from titanic_survival.toolkit.registry import decision_cache, permission_client, permissions
from titanic_survival.toolkit.registry.permissions import MlflowAuthenticator

MODEL, SECONDS = "a model", 60.0
READER, OTHER, WRONG = b"Basic cmVhZGVyOnB3", b"Bearer a.token", b"Basic d3Jvbmc6cHc="


class Mlflow(ThreadingHTTPServer):
    """Answers as MLflow would: 401 to unknown credentials, and what a test sets to others."""

    daemon_threads = True
    request_queue_size = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.reset()

    def reset(self) -> None:
        """Know two users, and forget who asked."""
        self.known: dict[bytes, int] = {READER: 200, OTHER: 403}
        self.body: bytes = json.dumps({"registered_model": {"name": MODEL}}).encode()
        self.headers: dict[str, str] = {}
        self.delay, self.to_unknown = 0.0, 401
        #: The Authorization headers of all calls, None where there was none.
        self.calls: list[bytes | None] = []
        self.paths: set[str] = set()
        self.cookies: list[str | None] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a caller who did not wait for the answer."""

    @property
    def asked(self) -> list[bytes]:
        """The credentials that were put before it, in this order."""
        return [call for call in self.calls if call is not None]


class Answer(BaseHTTPRequestHandler):
    """One call."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    server: Mlflow

    def do_GET(self) -> None:
        """Answer it."""
        mlflow, header = self.server, self.headers["Authorization"]
        credentials = header.encode() if header else None
        with mlflow.lock:
            mlflow.calls.append(credentials)
            mlflow.paths.add(self.path)
            mlflow.cookies.append(self.headers["Cookie"])
            mlflow.at_once += credentials is not None
            mlflow.most_at_once = max(mlflow.most_at_once, mlflow.at_once)
        if credentials:
            time.sleep(mlflow.delay)
        with mlflow.lock:
            mlflow.at_once -= credentials is not None
        status = mlflow.known.get(credentials, 401) if credentials else mlflow.to_unknown
        self.send_response(status)
        self.send_header("Content-Length", str(len(mlflow.body)))
        for name, value in mlflow.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(mlflow.body)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def running() -> Iterator[Mlflow]:
    with Mlflow() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def mlflow(running: Mlflow) -> Mlflow:
    running.reset()
    return running


@pytest.fixture
def authenticator(mlflow: Mlflow) -> MlflowAuthenticator:
    return MlflowAuthenticator(mlflow.url, MODEL, SECONDS)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that lets time pass for cached decisions."""
    passed = [0.0]
    for module in (permissions, permission_client, decision_cache):
        monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + passed[0])

    def pass_by(seconds: float) -> None:
        passed[0] += seconds

    return pass_by


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a test's steps in one event loop, as the service would."""

    async def within() -> None:
        await scenario()

    asyncio.run(within())


async def status(authenticator: MlflowAuthenticator, credentials: bytes) -> int:
    """Return 200 if credentials authorize their sender, else the status of the rejection."""
    try:
        await authenticator.verify(credentials)
    except RejectedError as error:
        return error.status
    return 200


def test_mlflow_decides_by_the_callers_own_credentials(authenticator: MlflowAuthenticator, mlflow: Mlflow) -> None:
    async def scenario() -> None:
        assert [await status(authenticator, one) for one in (READER, OTHER, WRONG)] == [200, 403, 401]

    run(scenario)
    assert mlflow.asked == [READER, OTHER, WRONG]
    (path,) = mlflow.paths
    assert urlsplit(path).path == "/api/2.0/mlflow/registered-models/get"
    assert parse_qs(urlsplit(path).query) == {"name": [MODEL]}


@pytest.mark.parametrize("credentials", [b"", b"Basic", b"Bearer", b"Digest x", b"Negotiate x", b"cmVhZGVyOnB3"])
def test_request_without_credentials_is_rejected_without_a_check(
    authenticator: MlflowAuthenticator, mlflow: Mlflow, credentials: bytes
) -> None:
    async def scenario() -> None:
        assert await status(authenticator, credentials) == 401

    run(scenario)
    assert mlflow.calls == []


@pytest.mark.parametrize("answer", [204, 301, 302, 400, 404, 429, 500, 503])
def test_unclear_answer_authorizes_nobody(authenticator: MlflowAuthenticator, mlflow: Mlflow, answer: int) -> None:
    mlflow.known[READER] = answer

    async def scenario() -> None:
        assert await status(authenticator, READER) == 503

    run(scenario)
    assert f"it answered {answer}" in authenticator.problem


@pytest.mark.parametrize("body", [b"<h1>Sign in</h1>", b"{}", b"[]", b'{"registered_model": {"name": "another"}}'])
def test_answer_that_does_not_name_the_model_authorizes_nobody(
    authenticator: MlflowAuthenticator, mlflow: Mlflow, body: bytes
) -> None:
    mlflow.body = body

    async def scenario() -> None:
        assert await status(authenticator, READER) == 503

    run(scenario)


def test_rejected_host_name_is_not_taken_for_a_missing_permission(
    authenticator: MlflowAuthenticator, mlflow: Mlflow
) -> None:
    mlflow.known[READER], mlflow.body = 403, b"Invalid Host header - possible DNS rebinding attack detected"

    async def scenario() -> None:
        assert await status(authenticator, READER) == 503

    run(scenario)
    assert "Invalid Host header" in authenticator.problem


def test_server_without_authentication_authorizes_nobody(authenticator: MlflowAuthenticator, mlflow: Mlflow) -> None:
    mlflow.to_unknown = 200

    async def scenario() -> None:
        assert await status(authenticator, READER) == 503

    run(scenario)
    assert "--app-name basic-auth" in authenticator.problem


def test_server_that_drops_its_authentication_authorizes_nobody(
    authenticator: MlflowAuthenticator, mlflow: Mlflow, later: Callable[[float], None]
) -> None:
    async def scenario() -> None:
        assert await status(authenticator, READER) == 200
        mlflow.to_unknown, mlflow.known[WRONG] = 200, 200
        later(SECONDS)
        assert [await status(authenticator, one) for one in (READER, WRONG)] == [503, 503]

    run(scenario)


def test_server_that_is_down_authorizes_nobody_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    authenticator = MlflowAuthenticator("http://127.0.0.1:9", MODEL, SECONDS)

    async def scenario() -> None:
        start = time.perf_counter()
        assert [await status(authenticator, one) for one in (READER, OTHER, READER)] == [503, 503, 503]
        assert time.perf_counter() - start < 2

    run(scenario)
    (record,) = caplog.records
    assert "http://127.0.0.1:9" in record.message
    assert "cmVhZGVyOnB3" not in caplog.text


def test_server_that_does_not_answer_in_time_authorizes_nobody(
    authenticator: MlflowAuthenticator, mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "TIMEOUT_SECONDS", 0.1)
    mlflow.delay = 0.5

    async def scenario() -> None:
        start = time.perf_counter()
        assert await status(authenticator, READER) == 503
        assert time.perf_counter() - start < 0.4

    run(scenario)


def test_decision_is_cached_and_expires(
    authenticator: MlflowAuthenticator, mlflow: Mlflow, later: Callable[[float], None]
) -> None:
    async def scenario() -> None:
        for _ in range(3):
            assert [await status(authenticator, one) for one in (READER, OTHER, WRONG)] == [200, 403, 401]
        assert len(mlflow.asked) == 3
        mlflow.known |= {READER: 403, OTHER: 200}
        later(permissions.REJECTED_SECONDS)
        assert [await status(authenticator, one) for one in (READER, OTHER)] == [200, 200]
        later(SECONDS - permissions.REJECTED_SECONDS)
        assert await status(authenticator, READER) == 403

    run(scenario)


def test_cached_permission_outlasts_a_server_that_goes_down_until_it_expires(
    authenticator: MlflowAuthenticator, mlflow: Mlflow, later: Callable[[float], None]
) -> None:
    async def scenario() -> None:
        assert await status(authenticator, READER) == 200
        mlflow.known[READER] = 500
        later(SECONDS - 1)
        assert await status(authenticator, READER) == 200
        await settled(authenticator)
        assert await status(authenticator, READER) == 200
        later(1)
        assert await status(authenticator, READER) == 503
        mlflow.known[READER] = 200
        later(permissions.UNAVAILABLE_SECONDS)
        assert await status(authenticator, READER) == 200

    run(scenario)


async def settled(authenticator: MlflowAuthenticator) -> None:
    """Wait for the calls to MLflow that are under way."""
    while authenticator._pending:
        await asyncio.sleep(0.005)


def test_permission_in_use_is_renewed_before_it_expires(
    authenticator: MlflowAuthenticator, mlflow: Mlflow, later: Callable[[float], None]
) -> None:
    async def scenario() -> None:
        assert await status(authenticator, READER) == 200
        mlflow.delay = 0.3
        for _ in range(3):
            later(SECONDS * 0.8)
            start = time.perf_counter()
            assert [await status(authenticator, READER) for _ in range(10)] == [200] * 10
            assert time.perf_counter() - start < 0.25
            await settled(authenticator)
        assert len(mlflow.asked) == 4

        # What is asked ahead of time counts at once.
        mlflow.known[READER] = 401
        later(SECONDS * 0.8)
        assert await status(authenticator, READER) == 200
        await settled(authenticator)
        assert await status(authenticator, READER) == 401

    run(scenario)


def test_requests_with_the_same_credentials_share_one_call(authenticator: MlflowAuthenticator, mlflow: Mlflow) -> None:
    mlflow.delay = 0.1

    async def scenario() -> None:
        found = await asyncio.gather(*(status(authenticator, one) for one in (READER, WRONG) * 20))
        assert found == [200, 401] * 20

    run(scenario)
    assert sorted(mlflow.asked) == sorted([READER, WRONG])


def test_caller_who_hangs_up_does_not_take_the_answer_from_others(
    authenticator: MlflowAuthenticator, mlflow: Mlflow
) -> None:
    mlflow.delay = 0.1

    async def scenario() -> None:
        first, second = (asyncio.create_task(status(authenticator, READER)) for _ in range(2))
        await asyncio.sleep(0.02)
        first.cancel()
        assert await second == 200

    run(scenario)
    assert mlflow.asked == [READER]


def test_flood_of_wrong_credentials_delays_neither_mlflow_nor_known_callers(
    authenticator: MlflowAuthenticator, mlflow: Mlflow, later: Callable[[float], None]
) -> None:
    async def scenario() -> None:
        assert await status(authenticator, READER) == 200
        later(SECONDS)  # the permission has expired, so it is checked again in the middle of the flood
        mlflow.delay = 0.1
        flood = [
            asyncio.create_task(status(authenticator, b"Basic %d" % i)) for i in range(3 * permissions.MAX_PENDING)
        ]
        await asyncio.sleep(0.05)
        start = time.perf_counter()
        assert await status(authenticator, READER) == 200
        assert time.perf_counter() - start < 1, "behind the flood it would be two and a half"
        rejected = [task.result() for task in flood if task.done()]
        assert rejected.count(503) == 2 * permissions.MAX_PENDING
        for task in flood:
            task.cancel()

    run(scenario)
    assert mlflow.most_at_once <= 8


def test_cache_is_bounded_and_wrong_credentials_do_not_drive_out_good_ones(
    mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "CACHE_SIZE", 5)
    authenticator = MlflowAuthenticator(mlflow.url, MODEL, SECONDS)
    cache = authenticator._cache

    async def scenario() -> None:
        assert await status(authenticator, READER) == 200
        for i in range(20):
            assert await status(authenticator, b"Basic %d" % i) == 401
        asked = len(mlflow.asked)
        assert await status(authenticator, READER) == 200
        assert await status(authenticator, b"Basic 19") == 401
        assert len(mlflow.asked) == asked
        for i in range(20):
            mlflow.known[b"Bearer %d" % i] = 200
            assert await status(authenticator, b"Bearer %d" % i) == 200
        assert len(cache._accepted) == len(cache._rejected) == 5

    run(scenario)


def test_cookie_given_to_one_caller_does_not_authenticate_the_next(
    authenticator: MlflowAuthenticator, mlflow: Mlflow
) -> None:
    mlflow.headers = {"Set-Cookie": "session=reader; Path=/"}

    async def scenario() -> None:
        for one in (READER, WRONG):
            await status(authenticator, one)

    run(scenario)
    assert set(mlflow.cookies) == {None}


def test_credentials_in_the_address_do_not_authenticate_callers(mlflow: Mlflow) -> None:
    owner = "Basic " + base64.b64encode(b"owner:secret-pw").decode()
    mlflow.known[owner.encode()] = 200
    authenticator = MlflowAuthenticator(mlflow.url.replace("//", "//owner:secret-pw@") + "/", MODEL, SECONDS)

    async def scenario() -> None:
        assert [await status(authenticator, one) for one in (WRONG, READER)] == [401, 200]

    run(scenario)
    assert mlflow.asked == [WRONG, READER]
    assert "secret-pw" not in authenticator.description


def test_credentials_are_not_kept(authenticator: MlflowAuthenticator, mlflow: Mlflow) -> None:
    async def scenario() -> None:
        for one in (READER, OTHER, WRONG):
            await status(authenticator, one)
        await settled(authenticator)

    run(scenario)
    kept = repr([vars(part) for part in (authenticator, authenticator._cache, authenticator._client)])
    for one in (READER, OTHER, WRONG):
        assert one.split()[1].decode() not in kept


@pytest.mark.parametrize(
    "address", ["sqlite:////data/mlflow.db", "postgresql://user:secret-pw@host/db", "databricks", "mlruns"]
)
def test_registry_that_is_no_server_cannot_check_permissions(address: str) -> None:
    with pytest.raises(UserError, match="AUTH=token") as raised:
        MlflowAuthenticator(address, MODEL, SECONDS).load()
    assert address.replace("user:secret-pw@", "") in str(raised.value)


def test_server_need_not_answer_when_the_service_starts() -> None:
    MlflowAuthenticator("https://127.0.0.1:9", MODEL, SECONDS).load()


def test_invalid_address_authorizes_nobody() -> None:
    authenticator = MlflowAuthenticator("http://host:port", MODEL, SECONDS)

    async def scenario() -> None:
        assert await status(authenticator, READER) == 503

    run(scenario)
    assert "port" in authenticator.problem


def test_missing_certificate_authorizes_nobody(
    authenticator: MlflowAuthenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "/nowhere/ca.pem")

    async def scenario() -> None:
        assert await status(authenticator, READER) == 503

    run(scenario)
    assert authenticator.problem


def test_service_needs_no_mlflow_to_check_permissions() -> None:
    code = f"import sys; sys.modules['mlflow'] = None; import {permissions.__name__}"
    subprocess.run([sys.executable, "-c", code], check=True)
