"""The service over rows of this model, as its callers use it."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from {{ cookiecutter.package_name }}.model import schema
from {{ cookiecutter.package_name }}.toolkit.contract.schema import Contract

Rows = list[dict[str, Any]]


def test_predictions_are_those_of_the_training(client: TestClient, rows: Rows, predictions: Rows) -> None:
    answer = client.post("/predict", json=rows)
    assert answer.status_code == 200
    fields = [{name: row[name] for name in schema.Prediction.model_fields} for row in answer.json()]
    assert fields == predictions


@pytest.mark.parametrize("field", list(schema.Row.model_fields)[:10])
def test_invalid_value_is_rejected_with_row_and_field(client: TestClient, rows: Rows, field: str) -> None:
    answer = client.post("/predict", json=[rows[0], rows[0] | {field: {}}])
    assert answer.status_code == 400
    assert [(problem["row"], problem["field"]) for problem in answer.json()["problems"]] == [(1, field)]


def test_explanation_has_a_contribution_for_every_field(client: TestClient, rows: Rows) -> None:
    answer = client.post("/explain", json=rows[:1])
    assert answer.status_code == 200
    assert list(answer.json()[0]["contributions"]) == list(schema.Row.model_fields)


def test_feedback_is_accepted_if_there_is_a_label(client: TestClient, rows: Rows, contract: Contract) -> None:
    labels = [label.name for label in contract.labels]
    answers = client.post("/predict", json=rows).json()
    answer = client.post("/feedback", json=[{name: row[name] for name in ("id", *labels)} for row in answers])
    assert (answer.status_code, answer.json().get("taken")) == ((202, len(rows)) if labels else (409, None))


def test_documentation_describes_every_field(client: TestClient) -> None:
    described = client.get("/docs.json").json()["components"]["schemas"]
    assert list(described["Row"]["properties"]) == list(schema.Row.model_fields)
