"""What MLflow itself can do with a version, and what is said when it does not answer."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.registry import client
from titanic_survival.toolkit.registry.runs import start_run
from titanic_survival.toolkit.registry.webhook_registration import register_webhook
from titanic_survival.toolkit.version.artifact import digest


@pytest.fixture(scope="module")
def loaded(trained: config.Settings) -> Any:
    """Return the version as MLflow loads it."""
    found = client.connect(trained.mlflow_tracking_uri, trained.model_name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))  # MLflow adds the version's own code to it
        yield mlflow.pyfunc.load_model(f"models:/{found.name}/1")


def frame_of(rows: list[dict[str, Any]], contract: Contract) -> pd.DataFrame:
    """Return rows as MLflow's signature wants them: numbers that may be missing are double."""
    types = {"float": "float64", "int": "int64", "bool": "bool"}
    frame = pd.DataFrame(rows)
    for column in contract.row:
        if column.kind in types:
            frame[column.name] = frame[column.name].astype("float64" if column.nullable else types[column.kind])
    return frame


def test_mlflow_gives_the_same_predictions(
    loaded: Any, contract: Contract, rows: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    answer = loaded.predict(frame_of(rows, contract))
    assert list(answer.columns) == [column.name for column in contract.prediction]
    for name in answer:
        values = [row[name] for row in expected]
        if isinstance(values[0], float | list):
            np.testing.assert_array_equal(np.stack(answer[name]).astype(np.float32), np.array(values, np.float32))
        else:
            assert answer[name].tolist() == values


def test_mlflow_names_what_breaks_the_contract(loaded: Any, contract: Contract, rows: list[dict[str, Any]]) -> None:
    model = loaded.unwrap_python_model()
    for column in contract.row:
        frame = frame_of(rows, contract).astype(object)
        frame.iloc[1, list(frame.columns).index(column.name)] = "¿"
        with pytest.raises(ValueError, match=f"1 values break the contract: row 1: {column.name} '¿'"):
            model.predict(None, frame)


def test_signature_names_every_field(loaded: Any, contract: Contract) -> None:
    assert loaded.metadata.signature.inputs.input_names() == list(contract.by_name)
    assert loaded.metadata.signature.outputs.input_names() == [column.name for column in contract.prediction]


def test_download_brings_the_folder_of_the_version(trained: config.Settings, version: Any, tmp_path: Path) -> None:
    client.connect(trained.mlflow_tracking_uri, trained.model_name).download(1, tmp_path / "got")
    assert digest(tmp_path / "got") == digest(version.folder)
    assert [path.name for path in tmp_path.iterdir()] == ["got"]


def test_version_is_found_by_number_and_by_alias(trained: config.Settings) -> None:
    found = client.connect(trained.mlflow_tracking_uri, trained.model_name)
    assert found.get("1") == found.get("challenger") == found.find("1")
    assert found.find("2") is None


def test_server_that_does_not_answer_is_named_with_the_cure() -> None:
    with pytest.raises(UserError, match=r"No MLflow server answers at http://127\.0\.0\.1:9.*MLFLOW_TRACKING_URI"):
        client.connect("http://127.0.0.1:9", "model")


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        ("API request failed (Caused by ResponseError('too many 500 error responses'))", "SECRET_ENCRYPTION_KEY"),
        ("INVALID_PARAMETER_VALUE: Invalid webhook URL scheme: 'http'.", "ALLOWED_SCHEMES=http,https"),
        ("Webhook URL must not resolve to a non-public IP address.", "ALLOW_PRIVATE_IPS=true"),
        ("RESOURCE_EXHAUSTED: something else", "something else"),
    ],
)
def test_server_that_takes_no_webhook_is_named_with_the_cure(
    trained: config.Settings, monkeypatch: pytest.MonkeyPatch, said: str, cure: str
) -> None:
    def refuse(**_: object) -> None:
        raise MlflowException(said)

    found = client.connect(trained.mlflow_tracking_uri, trained.model_name)
    found.uri = "https://mlflow.example.com"
    monkeypatch.setattr(found.client, "list_webhooks", refuse)
    with pytest.raises(UserError, match=f"https://mlflow.example.com.*{cure}"):
        register_webhook(found, "http://sync:3001", "secret", "name")


def test_settings_of_mlflow_are_set_before_it_is_imported() -> None:
    names = ("MLFLOW_LOGGING_LEVEL", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    code = (
        "import os, sys\n"
        "import titanic_survival.toolkit.registry\n"
        "assert 'mlflow' not in sys.modules\n"
        f"print(*(os.environ[name] for name in {names}))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ERROR", "true", "2"]


def test_run_is_marked_as_failed_when_its_block_raises(project: config.Settings) -> None:
    found = client.connect(project.mlflow_tracking_uri, project.model_name)
    with pytest.raises(ValueError, match="stop"), start_run(found, "train") as run:
        raise ValueError("stop")
    assert mlflow.MlflowClient().get_run(run.id).info.status == "FAILED"


def test_of_two_that_add_a_tag_at_the_same_moment_none_fails(project: config.Settings) -> None:
    registry = client.connect(project.mlflow_tracking_uri, project.model_name)
    together = Barrier(2)

    def add(value: str) -> None:
        for number in range(15):
            together.wait(30)
            registry.set_tag(f"added.{number}", value)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(add, value) for value in ("one", "other")]:
            done.result()
    assert {value for key, value in registry.tags().items() if key.startswith("added.")} <= {"one", "other"}
