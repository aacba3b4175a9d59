"""Feedback: labels by prediction id."""

import json
import math
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from titanic_survival.toolkit.contract.schema import Contract, FieldSpec
from titanic_survival.toolkit.monitoring import metrics, prediction_ids
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.serving import app, feedback, scoring


@pytest.fixture
def client(served: Path, tmp_path: Path) -> TestClient:
    loaded = scoring.Scoring(served, max_rows=100, max_bytes=100_000)
    loaded.load()
    routes = app.Routes(loaded, LogFile(tmp_path / "log", "feedback", 10**9), title="", description="")
    return TestClient(app.InFront(routes._slow, routes), raise_server_exceptions=False)


@pytest.fixture
def predictions(client: TestClient, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return client.post("/predict", json=rows[:5]).json()


def recorded(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in (tmp_path / "log").glob("*.jsonl") for line in path.read_text().splitlines()]


def rows_counted() -> float:
    return sum(sample.value for sample in metrics.FEEDBACK.collect()[0].samples if sample.name.endswith("_total"))


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
    said = answer.json()
    assert said["taken"] == 1
    assert [problem["row"] for problem in said["problems"]] == list(range(7))
    fields = ["id", label, label, "more", "", "id", label]
    assert [problem["field"] for problem in said["problems"]] == fields
    assert all(problem["reason"] for problem in said["problems"])
    assert len(recorded(tmp_path)) == 1


@pytest.mark.parametrize("body", [b"{", b"{}", b"5", b'[{"id": "x"}]'])
def test_nothing_to_take_is_refused(client: TestClient, body: bytes, tmp_path: Path) -> None:
    answer = client.post("/feedback", content=body)
    assert answer.status_code == 400
    assert [problem["reason"] for problem in answer.json()["problems"]] != [""]
    assert not (tmp_path / "log").exists()


def test_too_many_labels_are_refused(client: TestClient) -> None:
    assert client.post("/feedback", json=[{}] * 101).status_code == 413


def test_only_post_is_taken(client: TestClient) -> None:
    answer = client.get("/feedback")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_empty_list_takes_none(client: TestClient) -> None:
    answer = client.post("/feedback", json=[])
    assert (answer.status_code, answer.json()["taken"]) == (202, 0)


def test_labels_that_cannot_be_recorded_are_not_said_to_be_taken(
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


def item(kind: Any, predicted: Any, actual: Any, **more: Any) -> feedback.Item:
    label = FieldSpec(name="label", kind=kind, **more)
    (code,) = prediction_ids.codes(np.array([predicted], object if kind == "category" else None), label)
    return feedback.Item("", prediction_ids.DecodedId(77, code), label, actual)


def test_classes_are_counted_by_what_was_said_and_what_is_so() -> None:
    for predicted, actual in [(True, True), (True, False), (True, True)]:
        feedback.count(item("bool", predicted, actual))
    feedback.count(item("category", "low", "high", categories=("low", "high")))
    feedback.count(item("int", 123456, 5))
    counted = {
        tuple(sample.labels[name] for name in ("predicted", "actual", "correct")): sample.value
        for sample in metrics.FEEDBACK.collect()[0].samples
        if sample.labels["version"] == "77" and sample.name.endswith("_total")
    }
    assert counted == {
        ("true", "true", "true"): 2,
        ("true", "false", "false"): 1,
        ("low", "high", "false"): 1,
        ("other", "other", "false"): 1,
    }


def test_numbers_are_counted_by_how_far_they_are_apart() -> None:
    counters = [metrics.ABSOLUTE_ERROR.labels(77), metrics.SQUARED_ERROR.labels(77)]
    before = [counter._value.get() for counter in counters]
    for predicted, actual in [(1.5, 3.5), (5.0, 4.0), (math.nan, 1.0)]:
        feedback.count(item("float", predicted, actual))
    assert [counter._value.get() - then for counter, then in zip(counters, before, strict=True)] == [3, 5]
