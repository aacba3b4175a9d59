"""`POST /explain`: what callers get, whatever they send."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring import metrics
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import MAX_EXPLAINED_ROWS, Limits
from titanic_survival.toolkit.serving.scoring import Scorer


def client_of(store: Path) -> TestClient:
    live = LiveRelease(store)
    live.load()
    feedback = LogFile(store.parent / "log", "feedback", 0)
    routes = app.Routes(Scorer(live, Limits(1000, 1_000_000)), feedback, title="Ours", description="What it says.")
    return TestClient(app.ScoringMiddleware(routes._predict, routes), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(served: Path) -> TestClient:
    return client_of(served)


def test_every_row_gets_base_prediction_and_the_contribution_of_each_field(
    client: TestClient, rows: list[dict[str, Any]], contract: Contract
) -> None:
    answer = client.post("/explain", json=rows[:3])
    assert answer.status_code == 200
    assert len(answer.json()) == 3
    for explained in answer.json():
        assert list(explained) == ["base", "prediction", "contributions", "output", "version", "class"]
        assert list(explained["contributions"]) == list(contract.by_name)
        total = explained["base"] + sum(explained["contributions"].values())
        assert total == pytest.approx(explained["prediction"], rel=1e-5, abs=1e-5)
        assert explained["version"] == 2


def test_explained_prediction_is_the_one_of_predict(client: TestClient, rows: list[dict[str, Any]]) -> None:
    predictions, explanations = (client.post(path, json=rows[:3]).json() for path in ("/predict", "/explain"))
    for prediction, explained in zip(predictions, explanations, strict=True):
        name, _, position = explained["output"].rstrip("]").partition("[")
        predicted = prediction.get(name, True)
        predicted = predicted[int(position)] if position else predicted
        assert explained["prediction"] == pytest.approx(float(predicted), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("reference", "number"), [("1", 1), ("champion", 2)])
def test_version_is_named_by_number_or_alias(
    client: TestClient, rows: list[dict[str, Any]], reference: str, number: int
) -> None:
    answer = client.post(f"/versions/{reference}/explain", json=rows[:1])
    assert [explained["version"] for explained in answer.json()] == [number]


def test_no_rows_get_no_explanations(client: TestClient) -> None:
    answer = client.post("/explain", content=b"[]")
    assert (answer.status_code, answer.json()) == (200, [])


def test_unknown_version_is_answered_with_those_that_are_served(client: TestClient) -> None:
    answer = client.post("/versions/3/explain", content=b"[]")
    assert answer.status_code == 404
    assert "1, 2 = challenger = champion" in answer.json()["error"]


def test_every_bad_row_is_named(client: TestClient, rows: list[dict[str, Any]]) -> None:
    answer = client.post("/explain", json=[rows[0], rows[1] | {"no such field": 1}, "no row"])
    assert answer.status_code == 400
    problems = answer.json()["problems"]
    assert [(problem["row"], problem["field"]) for problem in problems] == [(1, "no such field"), (2, "")]


def test_too_many_rows_or_bytes_are_rejected(client: TestClient, rows: list[dict[str, Any]]) -> None:
    answer = client.post("/explain", json=rows[:1] * (MAX_EXPLAINED_ROWS + 1))
    assert answer.status_code == 413
    assert f"at most {MAX_EXPLAINED_ROWS}" in answer.json()["error"]
    assert client.post("/explain", content=b" " * 1_000_001).status_code == 413


def test_wrong_method_is_named(client: TestClient) -> None:
    answer = client.get("/explain")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_explained_rows_are_counted(client: TestClient, rows: list[dict[str, Any]]) -> None:
    def count() -> float:
        return metrics.EXPLAINED_ROWS.labels(2)._value.get()

    before = count()
    client.post("/explain", json=rows[:2])
    client.post("/explain", json=[{"no such field": 1}])
    assert count() == before + 2


class Row(BaseModel):
    """One number."""

    amount: float


class Prediction(BaseModel):
    """Another number."""

    answer: float


class Touchy:
    """Predicts half the amount, NaN for 0, and fails on 13."""

    def predict(self, frame: Any) -> np.ndarray:
        """Return the label."""
        amount = frame["amount"].to_numpy()
        if (amount == 13).any():
            raise RuntimeError("13 is too much")
        return np.where(amount == 0, np.nan, amount / 2)


def test_python_model_is_explained_and_its_failure_is_reported(save: Callable[..., Any], tmp_path: Path) -> None:
    version = save(Row, Prediction, Touchy(), [{"amount": 1.0}, {"amount": 3.0}])
    store = Store(tmp_path / "store")
    shutil.copytree(version.folder, store.path(1))
    store.write(Release.now("touchy", 1, {1: ("champion",)}))
    client = client_of(store.root)
    assert client.post("/explain", json=[{"amount": 5}]).json() == [
        {"base": 1, "prediction": 2.5, "contributions": {"amount": 1.5}, "output": "answer", "version": 1}
    ]
    # NaN is null: JSON has no NaN.
    undefined = json.loads(client.post("/explain", json=[{"amount": 0}]).text, parse_constant=pytest.fail)
    assert undefined[0]["prediction"] is None
    answer = client.post("/explain", json=[{"amount": 13}])
    assert answer.status_code == 500
    assert "13 is too much" in answer.json()["error"]
