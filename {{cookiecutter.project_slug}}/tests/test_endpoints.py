"""`model/endpoints.py`: endpoints of your own, if there are any. Test yours as `test_labels` tests the example."""

import importlib.util
import inspect
from typing import Any

import pytest
from starlette.testclient import TestClient

from {{ cookiecutter.package_name }} import model
from {{ cookiecutter.package_name }}.model import schema

Rows = list[dict[str, Any]]


def endpoints() -> set[str]:
    """Return the names of the endpoints: the public `async def` of `model/endpoints.py`, which may be missing."""
    name = f"{model.__name__}.endpoints"
    if importlib.util.find_spec(name) is None:
        return set()
    found = inspect.getmembers(importlib.import_module(name), inspect.iscoroutinefunction)
    return {word for word, function in found if function.__module__ == name and not word.startswith("_")}


def test_every_endpoint_is_documented(client: TestClient) -> None:
    assert {f"/{name}" for name in endpoints()} <= client.get("/docs.json").json()["paths"].keys()


@pytest.mark.skipif("labels" not in endpoints(), reason="the example in model/endpoints.py is not in use")
def test_labels(client: TestClient, rows: Rows, predictions: Rows) -> None:
    label = next(iter(schema.Prediction.model_fields))
    answer = client.post("/labels", json={"rows": rows})
    assert answer.status_code == 200
    assert answer.json() == [prediction[label] for prediction in predictions]
