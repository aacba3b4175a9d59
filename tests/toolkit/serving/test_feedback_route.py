"""Feedback: labels by prediction id."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring import metrics
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.scoring import Scorer


@pytest.fixture
def client(served: Path, tmp_path: Path) -> TestClient:
    live = LiveRelease(served)
    live.load()
    routes = app.Routes(
        Scorer(live, Limits(100, 100_000)), LogFile(tmp_path / "log", "feedback", 10**9), title="", description=""
    )
    return TestClient(app.ScoringMiddleware(routes._predict, routes), raise_server_exceptions=False)


@pytest.fixture
def predictions(client: TestClient, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return client.post("/predict", json=rows[:5]).json()


def recorded(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in (tmp_path / "log").glob("*.jsonl") for line in path.read_text().splitlines()]


def rows_counted() -> float:
    return sum(sample.value for sample in metrics.FEEDBACK_ROWS.collect()[0].samples if sample.name.endswith("_total"))


def test_labels_are_taken_recorded_and_counted(
    client: TestClient, predictions: list[dict[str, Any]], contract: Contract, tmp_path: Path
) -> None:
    label, before = contract.label.name, rows_counted()
    given = [{"id": row["id"], label: row[label]} for row in predictions]
    answer = client.post("/feedback", json=given)
    assert (answer.status_code, answer.json()) == (202, {"taken": 5, "problems": []})
    assert [{name: line[name] for name in ("id", label)} for line in recorded(tmp_path)] == given
    assert {line["version"] for line in recorded(tmp_path)} == {2}
    assert rows_counted() - before == 5


def test_label_that_is_sent_twice_is_counted_and_written_once(
    client: TestClient, predictions: list[dict[str, Any]], contract: Contract, tmp_path: Path
) -> None:
    label, before = contract.label.name, rows_counted()
    given = [{"id": row["id"], label: row[label]} for row in predictions]
    assert client.post("/feedback", json=[*given[:2], given[0]]).json() == {"taken": 3, "known": 1, "problems": []}
    assert client.post("/feedback", json=given).json() == {"taken": 5, "known": 2, "problems": []}
    given[0]["id"] = given[0]["id"].upper()
    assert client.post("/feedback", json=given).json() == {"taken": 5, "known": 5, "problems": []}
    assert [line["id"] for line in recorded(tmp_path)] == [row["id"] for row in predictions]
    assert rows_counted() - before == 5


def test_another_label_for_a_prediction_is_written_and_not_counted(
    client: TestClient, predictions: list[dict[str, Any]], contract: Contract, tmp_path: Path
) -> None:
    label, before = contract.label.name, rows_counted()
    for actual in (True, False, True):
        answer = client.post("/feedback", json=[{"id": predictions[0]["id"], label: actual}])
        assert answer.json() == {"taken": 1, "problems": []}
    assert [line[label] for line in recorded(tmp_path)] == [True, False, True]
    assert rows_counted() - before == 1


def test_every_bad_item_is_named_and_the_others_are_taken(
    client: TestClient, predictions: list[dict[str, Any]], contract: Contract, tmp_path: Path
) -> None:
    label = contract.label.name
    good = {"id": predictions[0]["id"], label: predictions[0][label]}
    bad = [
        {"id": "0" * 40, label: good[label]},
        {"id": good["id"], label: [1]},
        {"id": good["id"]},
        good | {"more": 1},
        "no object",
        {"id": 5, label: good[label]},
        {"id": good["id"], label: None},
    ]
    answer = client.post("/feedback", json=[*bad, good])
    assert answer.status_code == 202
    content = answer.json()
    assert content["taken"] == 1
    assert [problem["row"] for problem in content["problems"]] == list(range(7))
    fields = ["id", label, label, "more", "", "id", label]
    assert [problem["field"] for problem in content["problems"]] == fields
    assert all(problem["reason"] for problem in content["problems"])
    assert len(recorded(tmp_path)) == 1


@pytest.mark.parametrize("body", [b"{", b"{}", b"5", b'[{"id": "x"}]'])
def test_body_without_a_valid_item_is_rejected(client: TestClient, body: bytes, tmp_path: Path) -> None:
    answer = client.post("/feedback", content=body)
    assert answer.status_code == 400
    assert [problem["reason"] for problem in answer.json()["problems"]] != [""]
    assert not (tmp_path / "log").exists()


def test_too_many_labels_are_rejected(client: TestClient) -> None:
    assert client.post("/feedback", json=[{}] * 101).status_code == 413


def test_only_post_is_taken(client: TestClient) -> None:
    answer = client.get("/feedback")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_empty_list_takes_none(client: TestClient) -> None:
    answer = client.post("/feedback", json=[])
    assert (answer.status_code, answer.json()["taken"]) == (202, 0)


def test_labels_that_cannot_be_written_get_503_and_are_not_counted(
    client: TestClient, predictions: list[dict[str, Any]], contract: Contract
) -> None:
    label, before = contract.label.name, rows_counted()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        answer = client.post("/feedback", json=[{"id": predictions[0]["id"], label: predictions[0][label]}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert answer.status_code == 503
    assert "later" in answer.json()["error"]
    assert rows_counted() == before


def test_feedback_before_a_release_is_loaded_is_503(tmp_path: Path) -> None:
    scorer = Scorer(LiveRelease(tmp_path / "store"), Limits(100, 100_000))
    routes = app.Routes(scorer, LogFile(tmp_path / "log", "feedback", 10**9), title="", description="")
    answer = TestClient(app.ScoringMiddleware(routes._predict, routes)).post("/feedback", json=[{"id": "0" * 40}])
    assert (answer.status_code, answer.json()) == (503, {"error": "no version is loaded yet"})
