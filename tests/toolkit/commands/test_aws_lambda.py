"""`serve` on Lambda: a process that asks Lambda's runtime API for events, as AWS runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from titanic_survival import config

sys.path.append(str(Path(__file__).parents[2]))

from lambda_runtime import Runtime, event, runtime_api


@pytest.fixture(scope="module")
def function(trained: config.Settings) -> Iterator[Runtime]:
    """Return a function that has started."""
    with runtime_api() as runtime:
        env = os.environ | {"AWS_LAMBDA_RUNTIME_API": runtime.address, "STORE": str(trained.store)}
        env.pop("PROMETHEUS_MULTIPROC_DIR", None)
        process = subprocess.Popen(
            [sys.executable, "-m", config.PACKAGE, "serve", "--no-pull"], env=env, cwd=config.ROOT
        )
        try:
            assert runtime.ready.wait(60)
            yield runtime
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("url", [False, True], ids=["http-api", "function-url"])
def test_events_are_answered_as_requests_are(
    function: Runtime, rows: list[dict[str, Any]], expected: list[dict[str, Any]], url: bool
) -> None:
    answer = function.invoke(event("POST", "/predict", rows[:3], url=url))
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"] == "application/json"
    predictions = json.loads(answer["body"])
    labels = [{key: found[key] for key in wanted} for found, wanted in zip(predictions, expected, strict=False)]
    assert [str(label) for label in labels] == [str(wanted) for wanted in expected[:3]]
    assert {found["version"] for found in predictions} == {1}


def test_invalid_row_is_the_callers_mistake(function: Runtime) -> None:
    answer = function.invoke(event("POST", "/predict", [{"nothing": 1}]))
    assert answer["statusCode"] == 400


def test_function_says_what_it_serves(function: Runtime) -> None:
    assert json.loads(function.invoke(event("GET", "/readyz"))["body"])["ready"] is True
    assert json.loads(function.invoke(event("GET", "/model"))["body"])["champion"] == 1
    assert "/predict" in json.loads(function.invoke(event("GET", "/docs.json"))["body"])["paths"]
    assert "swagger" in function.invoke(event("GET", "/"))["body"]
    assert "SwaggerUIBundle" in function.invoke(event("GET", "/static_content/swagger-ui-bundle.js"))["body"]
    assert function.invoke(event("GET", "/livez"))["statusCode"] == 200


def test_what_needs_files_is_not_served(function: Runtime) -> None:
    for path in ("/feedback", "/metrics"):
        answer = function.invoke(event("POST", path, []))
        assert answer["statusCode"] == 404
        assert "not served on Lambda" in answer["body"]
