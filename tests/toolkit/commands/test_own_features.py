"""`model/features.py` from training to every place that scores rows."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from starlette.testclient import TestClient
from titanic_survival import config, predict, train
from titanic_survival.model import features as module
from titanic_survival.shared import training_data
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.columns import from_rows
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.release import image
from titanic_survival.toolkit.release.reconcile import pull_release
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.protocols import open_inference
from titanic_survival.toolkit.serving.scoring import Scorer
from titanic_survival.toolkit.training import evaluation
from titanic_survival.toolkit.training.importance import Importance
from titanic_survival.toolkit.version.artifact import Artifact
from titanic_survival.toolkit.version.runtime import OnnxRuntime

#: For rows of any schema.
SOURCE = """
import pandas as pd


def filled(frame):
    return frame.notna() & (frame != "")


def features(frame):
    numbers = frame.select_dtypes("number")
    return frame.assign(filled=filled(frame).sum(axis=1), large=(numbers > 1).sum(axis=1) > 2)
"""
#: The same columns with other values: what `model/features.py` has become since.
CHANGED = SOURCE.replace("> 1", "> 30").replace("sum(axis=1),", "sum(axis=1) * 1000 - 3000,")


def write(source: str) -> None:
    """Have `model/features.py` define a function, as if its file had that content."""
    vars(module).pop("features", None)
    exec(compile(source, str(module.__file__), "exec"), vars(module))


@pytest.fixture(scope="module")
def own(isolated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[config.Settings]:
    """Return the settings of a project with two versions: 1 with a function, and 2, without one, which is champion."""
    home = tmp_path_factory.mktemp("own")
    settings = config.Settings(
        mlflow_tracking_uri=f"sqlite:///{home / 'mlflow.db'}", store=home / "store", log_folder=home / "log"
    )
    before = dict(vars(module))
    with pytest.MonkeyPatch.context() as patch:
        # Plots and importance take the most time, and are tested elsewhere.
        patch.setattr(train.plots, "draw", lambda *_: None)
        patch.setattr(evaluation, "importance", lambda *_: Importance({}, 0))
        write(SOURCE)
        assert train.run(settings) == 1
        write(CHANGED)
        registry = connect(settings.mlflow_tracking_uri, settings.model_name)
        registry.set_alias("champion", 1)
        pull_release(settings.mlflow_tracking_uri, settings.model_name, Store(settings.store))
        yield settings
    vars(module).clear()
    vars(module).update(before)


@pytest.fixture(scope="module")
def version(own: config.Settings) -> Artifact:
    """Return the version that was trained with the function."""
    return Store(own.store).load(1)


@pytest.fixture(scope="module")
def client(own: config.Settings, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    live = LiveRelease(own.store)
    live.load()
    feedback = LogFile(tmp_path_factory.mktemp("log"), "feedback", 0)
    routes = app.Routes(Scorer(live, Limits(1000, 1_000_000)), feedback, title="Title", description="")
    return TestClient(app.ScoringMiddleware(None, routes), raise_server_exceptions=False)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def expected(version: Artifact, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the predictions, by the function and the ONNX model without any of the code that joins them."""
    names: dict[str, Any] = {}
    exec(SOURCE, names)
    frame = pd.DataFrame(
        {name: array.T[0] if array.ndim > 1 else array for name, array in from_rows(rows, version.contract).items()}
    )
    made = names["features"](frame)
    assert version.features
    columns = {
        name: made[name].to_numpy(np.float32 if kind == "number" else object)
        for name, kind in version.features.kinds.items()
    }
    found = OnnxRuntime(
        (version.folder / "model.onnx").read_bytes(), version.features.model_contract(version.contract)
    ).score(columns)
    return pd.DataFrame(found).to_dict("records")


def close(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    return [set(row) >= set(other) for row, other in zip(found, expected, strict=True)] == [True] * len(
        expected
    ) and all(
        row[name] == pytest.approx(value, abs=1e-5)
        for row, other in zip(found, expected, strict=True)
        for name, value in other.items()
    )


def test_onnx_serves_behind_the_features(version: Artifact) -> None:
    assert version.details["runtime"] == version.runtime.name == "onnx"
    assert "parity check passed" in version.details["runtime_note"]
    assert version.features
    assert {"filled": "number", "large": "number"}.items() <= version.features.kinds.items()
    card = (version.folder / "card.md").read_text(encoding="utf-8")
    assert "## Features" in card
    assert "| filled | number |" in card


def test_model_learned_from_the_columns_of_the_function(version: Artifact, rows: list[dict[str, Any]]) -> None:
    assert version.features
    columns = version.features.columns(from_rows(rows, version.contract))
    assert list(columns) == [*version.contract.model_columns, "filled", "large"]
    assert set(columns["filled"].tolist()) <= set(range(len(columns)))


def test_service_gives_the_same_answers_in_every_protocol(
    client: TestClient, contract: Contract, rows: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    assert close(client.post("/predict", json=rows).json(), expected)
    assert close([client.post("/predict", json=[row]).json()[0] for row in rows[:5]], expected[:5])
    answer = client.post("/invocations", json={"dataframe_records": rows}).json()
    assert close(answer["predictions"], expected)
    name = client.get("/model").json()["model"]
    body = open_inference.request(rows, contract)
    outputs = client.post(f"/v2/models/{name}/infer", json=body).json()["outputs"]
    label = contract.label.name
    [tensor] = [output["data"] for output in outputs if output["name"] == label]
    assert tensor == [row[label] for row in expected]


def test_batch_and_mlflow_give_the_same_answers(
    own: config.Settings, rows: list[dict[str, Any]], expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    source, output = tmp_path / "rows.csv", tmp_path / "predictions.parquet"
    pd.DataFrame(rows).to_csv(source, index=False)
    result = predict.run(own, str(source), str(output), "1")
    assert result.counts[:2] == (len(rows), 0)
    assert close(pd.read_parquet(output).to_dict("records"), expected)
    mlflow.set_tracking_uri(own.mlflow_tracking_uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{own.model_name}/1")
    types = {field.name: "float64" for field in loaded.metadata.signature.inputs if "double" in str(field.type)}
    frame = pd.DataFrame(rows).astype(types)
    assert close(loaded.predict(frame).to_dict("records"), expected)


def test_requirements_have_what_the_function_needs(own: config.Settings) -> None:
    registry = connect(own.mlflow_tracking_uri, own.model_name)
    mlflow.set_tracking_uri(own.mlflow_tracking_uri)
    path = mlflow.pyfunc.get_model_dependencies(f"models:/{registry.name}/1")
    names = {line.partition("==")[0] for line in Path(path).read_text().split()}
    assert {"onnxruntime", "pandas", "cloudpickle"} <= names
    assert "scikit-learn" not in names


def test_model_route_says_columns_and_cost(client: TestClient, version: Artifact) -> None:
    [shown] = client.get("/model").json()["versions"]
    assert version.features
    assert shown["features"]["columns"] == version.features.kinds
    cost = shown["features"]["microseconds"]
    assert set(cost) == {"1", "1000"}
    assert 0 < cost["1"] < 1_000_000
    described = client.get("/docs.json").json()["components"]["schemas"]["Release"]
    assert "features" in json.dumps(described)


def test_explanation_has_a_contribution_for_every_field_of_the_row(
    client: TestClient, contract: Contract, rows: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    [answer] = client.post("/explain", json=rows[:1]).json()
    assert list(answer["contributions"]) == [field.name for field in contract.row]
    assert answer["base"] + sum(answer["contributions"].values()) == pytest.approx(answer["prediction"], abs=1e-4)
    assert answer["prediction"] in [pytest.approx(value, abs=1e-5) for value in expected[0].values()]


def test_image_gets_the_libraries_of_models_in_python(own: config.Settings) -> None:
    store = Store(own.store)
    assert image.environment(store, store.required_release()) == "model"


def test_function_that_fails_on_rows_is_a_500_with_one_traceback_and_stops_nothing_else(
    own: config.Settings, rows: list[dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live = LiveRelease(own.store)
    live.load()
    artifact = live.snapshot.versions[1].artifact
    assert artifact.features
    function = artifact.features.function

    def fails(frame: pd.DataFrame) -> pd.DataFrame:
        if len(frame) == 2:
            raise ValueError("two are too many")
        made: pd.DataFrame = function(frame)
        return made

    artifact.features.function = fails
    routes = app.Routes(
        Scorer(live, Limits(1000, 1_000_000)), LogFile(tmp_path, "feedback", 0), title="", description=""
    )
    client = TestClient(app.ScoringMiddleware(None, routes), raise_server_exceptions=False)  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR):
        answer = client.post("/predict", json=rows[:2])
    assert answer.status_code == 500
    assert "ValueError: two are too many" in answer.json()["error"]
    [record] = caplog.records
    assert record.exc_info
    assert client.post("/predict", json=rows[:3]).status_code == 200


def test_training_without_a_function_is_as_before(own: config.Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(module, "features")
    number = train.run(own.model_copy(update={"approval_required": True}))
    registry, store = connect(own.mlflow_tracking_uri, own.model_name), Store(own.store)
    store.pull(registry.get(str(number)), registry.download)
    assert not store.load(number).has_features


def stop(*_: Any) -> Any:
    raise AssertionError("fitted nevertheless")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return frame.assign(x=frame['nowhere'])", r"model/features\.py, line 2: KeyError: 'nowhere'"),
        ("return frame.assign(x=frame.notna().sum(axis=1).rank())", "column 'x' of a row depends on the other rows"),
        ("return frame.dropna()[:7]", "returned 7 rows for"),
    ],
)
def test_mistake_stops_the_training_before_it_fits(
    own: config.Settings, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    monkeypatch.setattr(BaseEstimator, "fit", stop, raising=False)
    monkeypatch.setattr(module, "features", None)
    names: dict[str, Any] = {}
    exec(compile(f"def features(frame):\n    {body}\n", str(module.__file__), "exec"), names)
    monkeypatch.setattr(module, "features", names["features"])
    with pytest.raises(UserError, match=said):
        train.run(own)


def test_function_of_another_name_is_named(
    own: config.Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(module, "features")
    monkeypatch.setattr(module, "make_features", lambda frame: frame, raising=False)
    assert training_data.features_module() is None
    assert "model/features.py has make_features(), but no features(frame)" in " ".join(capsys.readouterr().out.split())
