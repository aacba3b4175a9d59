"""How a body may come: its content type, and its compression."""

import gzip
import json
import logging
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.serving.app import Routes, ScoringMiddleware
from titanic_survival.toolkit.serving.auth.tokens import TokenAuthenticator
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.protocols import open_inference
from titanic_survival.toolkit.serving.scoring import Scorer

MAX_BYTES = 200_000
JSON = {"content-type": "application/json"}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Stand for an endpoint of a project's own: answer with the body and the header of it."""
    message = await receive()
    names = (b"content-length", b"content-encoding", b"content-type")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    header = {k.decode(): v.decode() for k, v in scope["headers"] if k in names}
    await send({"type": "http.response.body", "body": json.dumps([header, message["body"].decode()]).encode()})


@pytest.fixture(scope="module")
def routes(served: Path) -> Routes:
    live = LiveRelease(served)
    live.load()
    feedback = LogFile(served.parent / "log", "feedback", 0)
    return Routes(Scorer(live, Limits(1000, MAX_BYTES)), feedback, title="", description="")


@pytest.fixture(scope="module")
def client(routes: Routes) -> TestClient:
    return TestClient(ScoringMiddleware(echo, routes), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def posts(routes: Routes, rows: list[dict[str, Any]], contract: Contract) -> dict[str, bytes]:
    """Return a valid body for each path."""
    name = routes.scorer.live.snapshot.release.model
    return {
        "/predict": json.dumps(rows).encode(),
        "/explain": json.dumps(rows[:1]).encode(),
        "/feedback": b"[]",
        "/invocations": json.dumps({"dataframe_records": rows}).encode(),
        f"/v2/models/{name}/infer": json.dumps(open_inference.request(rows, contract)).encode(),
    }


def two_members(body: bytes) -> bytes:
    return gzip.compress(body[:10]) + gzip.compress(body[10:])


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("GZIP", two_members), ("deflate", zlib.compress), ("identity", bytes)],
)
def test_compressed_bodies_are_decoded(client: TestClient, posts: dict[str, bytes], coding: str, compress: Any) -> None:
    for path, body in posts.items():
        answer = client.post(path, content=compress(body), headers=JSON | {"content-encoding": coding})
        assert answer.status_code == client.post(path, content=body, headers=JSON).status_code, answer.text
        assert answer.status_code < 300


def test_an_endpoint_of_a_project_gets_the_body_as_it_was(client: TestClient) -> None:
    answer = client.post("/own", content=gzip.compress(b"{ }"), headers=JSON | {"content-encoding": "gzip"})
    assert answer.json() == [JSON | {"content-length": "3"}, "{ }"]


@pytest.mark.parametrize("path", ["/predict", "/invocations", "/own"])
def test_a_compressed_body_has_no_more_bytes_than_others(client: TestClient, path: str, routes: Routes) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < MAX_BYTES
    assert client.post(path, content=bomb, headers=JSON | {"content-encoding": "gzip"}).status_code == 413
    assert routes.bodies.bytes_in_flight == 0


@pytest.mark.parametrize("path", ["/predict", "/invocations", "/own"])
def test_another_compression_and_a_broken_one_are_named(client: TestClient, path: str) -> None:
    answer = client.post(path, content=b"[]", headers=JSON | {"content-encoding": "br"})
    assert (answer.status_code, "br" in answer.text) == (415, True)
    for broken in (b"[]", gzip.compress(b"[]")[:-4], gzip.compress(b"[]") + b"more"):
        answer = client.post(path, content=broken, headers=JSON | {"content-encoding": "gzip"})
        assert (answer.status_code, "Content-Encoding" in answer.text) == (400, True)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_page_of_another_origin_posts_nothing(client: TestClient, posts: dict[str, bytes], kind: str) -> None:
    for path, body in {**posts, "/own": b"{}"}.items():
        for header in ({"content-type": kind}, {}):
            foreign = header | {"origin": "https://elsewhere.example"}
            assert client.post(path, content=body, headers=foreign).status_code == 415, path


def test_json_is_taken_under_its_names(client: TestClient, posts: dict[str, bytes]) -> None:
    for path, body in posts.items():
        for kind in ("application/json", "Application/JSON; charset=utf-8"):
            headers = {"content-type": kind, "origin": "https://elsewhere.example"}
            assert client.post(path, content=body, headers=headers).status_code < 300
        if path != "/invocations":  # of which MLflow's protocol asks for one
            assert client.post(path, content=body).status_code < 300
    same_origin = {"content-type": "multipart/form-data; boundary=x", "origin": "http://testserver"}
    assert client.post("/own", content=b"", headers=same_origin).status_code == 200


@pytest.mark.parametrize(("mode", "warnings"), [(0o644, 1), (0o600, 0)])
def test_a_file_of_tokens_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warnings: int
) -> None:
    file = tmp_path / "tokens"
    file.write_text("a" * 30)
    file.chmod(mode)
    with caplog.at_level(logging.WARNING):
        TokenAuthenticator(file).load()
    assert [f"chmod 600 {file}" in record.getMessage() for record in caplog.records] == [True] * warnings


def test_the_command_of_the_message_makes_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    with pytest.raises(UserError) as error:
        TokenAuthenticator(file).load()
    subprocess.run(["sh", "-c", "umask 022; " + str(error.value).partition("To add one: ")[2]], check=True)
    assert file.stat().st_mode & 0o777 == 0o600
    TokenAuthenticator(file).load()
