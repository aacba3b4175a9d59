"""The service under a path: every route there, and at the root as before."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from titanic_survival import config
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.root_path import under
from titanic_survival.toolkit.serving.scoring import Scorer


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer 418 with the path, where the service behind would answer."""
    headers = [(b"path", scope["path"].encode()), (b"raw", scope["raw_path"])]
    await send({"type": "http.response.start", "status": 418, "headers": headers})
    await send({"type": "http.response.body"})


@pytest.fixture(scope="module")
def client(served: Path) -> TestClient:
    live = LiveRelease(served)
    live.load()
    feedback = LogFile(served.parent / "log", "feedback", 0)
    routes = app.Routes(Scorer(live, Limits(100, 10_000_000)), feedback, title="Ours", description="")
    return TestClient(under("/ours", app.ScoringMiddleware(echo, routes)), follow_redirects=False)


def test_predictions_are_the_same_under_the_path(client: TestClient, rows: list[dict[str, Any]]) -> None:
    answers = [client.post(f"{path}/predict", json=rows[:3]).json() for path in ("", "/ours")]
    for prediction in (*answers[0], *answers[1]):
        del prediction["id"]
    assert answers[0] == answers[1]
    assert client.post("/ours/versions/1/predict", json=rows[:1]).json()[0]["version"] == 1


@pytest.mark.parametrize("path", ["/readyz", "/model", "/docs.json", "/v2/health/ready", "/ping"])
def test_routes_answer_with_and_without_the_path(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == client.get(f"/ours{path}").status_code == 200


def test_swagger_ui_works_under_the_path(client: TestClient) -> None:
    page = client.get("/ours/")
    assert page.status_code == 200
    # All that the page loads is relative to it, and so is the server that the document names.
    addresses = re.findall(r'(?:src|href|url)(?:=|: )"([^"]+)"', page.text)
    assert len(addresses) == 3 and all(address.startswith("./") for address in addresses)
    assert client.get("/ours/docs.json").json()["servers"] == [{"url": "."}]
    moved = client.get("/ours")
    assert (moved.status_code, moved.headers["location"]) == (308, "/ours/")


def test_service_behind_gets_the_path_of_the_root(client: TestClient) -> None:
    answer = client.get("/ours/static_content/a%20b")
    assert (answer.headers["path"], answer.headers["raw"]) == ("/static_content/a b", "/static_content/a%20b")
    # Only whole parts of a path count.
    assert client.get("/oursmore/predict").headers["path"] == "/oursmore/predict"


def test_without_a_path_nothing_stands_before_the_service() -> None:
    assert under("", echo) is echo


@pytest.mark.parametrize("path", ["ours", "/ours/", "/", "/a b"])
def test_path_that_cannot_be_one_is_named(path: str) -> None:
    with pytest.raises(ValueError, match="root_path"):
        config.Settings(root_path=path)
