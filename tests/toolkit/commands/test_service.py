"""The service as it is served: the scoring routes before BentoML's routes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from titanic_survival import config


@pytest.fixture(scope="module")
def client(served: Path, service_with: Callable[..., Any]) -> Iterator[TestClient]:
    with (
        service_with(STORE=served, LOG_FOLDER=served.parent / "log") as service,
        TestClient(service.application()) as client,
    ):
        yield client


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/metrics", "/static_content/swagger-ui-bundle.js"])
def test_bentoml_answers_behind(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


def test_predictions_are_those_of_the_runtime(
    client: TestClient, rows: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    answers = client.post("/predict", json=rows).json()
    assert [{name: answer[name] for name in row} for answer, row in zip(answers, expected, strict=True)] == expected


def test_requests_show_among_the_metrics(client: TestClient, rows: list[dict[str, Any]]) -> None:
    client.post("/versions/1/predict", json=rows[:1])
    assert 'model_rows_total{version="1"}' in client.get("/metrics").text


def test_docs_name_project_and_routes(client: TestClient) -> None:
    document = client.get("/docs.json").json()
    assert document["info"]["title"] == config.PROJECT_NAME
    assert {"/predict", "/model", "/readyz"} <= document["paths"].keys()


def test_unknown_path_is_not_found(client: TestClient) -> None:
    assert client.get("/nowhere").status_code == 404


def test_unknown_paths_leave_no_metrics_behind(client: TestClient) -> None:
    for number in range(3):
        for path in (f"/nowhere/{number}", f"/static_content/{number}.js", f"/predict/{number}"):
            assert client.get(path).status_code == 404
    text = client.get("/metrics").text
    assert "nowhere" not in text
    assert "static_content/1" not in text
    assert "predict/1" not in text
