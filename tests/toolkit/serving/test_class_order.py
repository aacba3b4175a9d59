"""One order of the classes, that of the schema: in predictions, at /model, in the document and in explanations."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field
from sklearn.linear_model import LogisticRegression
from starlette.testclient import TestClient
from titanic_survival import model
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import Columns
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.scoring import Scorer
from titanic_survival.toolkit.training import evaluation, gates, samples
from titanic_survival.toolkit.training.dataset import Dataset, LabelledRows, labelled_rows
from titanic_survival.toolkit.training.export import onnx_export
from titanic_survival.toolkit.version.artifact import Artifact
from titanic_survival.toolkit.version.contents import Contents
from titanic_survival.toolkit.version.reference_profile import Profile
from titanic_survival.toolkit.version.runtime import OnnxRuntime, PythonRuntime

COLUMNS: Columns = {"low": np.arange(30, dtype=np.float32), "high": np.ones(30, np.float32)}
FRAME = np.array(["small", "medium", "large"], dtype=object)[np.arange(30) // 10]


class Row(BaseModel):
    """Two numbers."""

    low: float
    high: float


class Size(BaseModel):
    """The classes are neither sorted nor sorted backwards."""

    size: Literal["small", "large", "medium"]
    probabilities: list[float] = Field(min_length=3, max_length=3, description="how likely")


class Chosen(BaseModel):
    """The label follows from a threshold."""

    answer: Literal["yes", "no"]
    probabilities: dict[str, float]


class Answer(BaseModel):
    """The second class is not the second of those sorted."""

    answer: Literal["yes", "no"]
    probability: float


def fitted(prediction: type[BaseModel], label: np.ndarray) -> tuple[Any, Contract]:
    contract = derive(Row, prediction).with_classes(label)
    return LogisticRegression(max_iter=1000).fit(dataframes.as_frame(COLUMNS, contract), label), contract


@pytest.fixture(params=["python", "onnx"])
def runtime(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return a function that makes a runtime of a fitted model, each of the two kinds in turn."""

    def make(estimator: Any, contract: Contract) -> Any:
        if request.param == "python":
            return PythonRuntime(estimator, contract)
        exported = onnx_export.export(estimator, contract, COLUMNS)
        assert exported.model, exported.note
        return OnnxRuntime(exported.model, contract)

    return make


def test_probabilities_have_the_order_of_the_schema(runtime: Callable[..., Any]) -> None:
    estimator, contract = fitted(Size, FRAME)
    assert contract.classes == ("small", "large", "medium")
    found = runtime(estimator, contract).score(COLUMNS)
    np.testing.assert_array_equal(np.array(contract.classes)[found["probabilities"].argmax(axis=1)], found["size"])


def test_probability_is_that_of_the_second_class_of_the_schema(runtime: Callable[..., Any]) -> None:
    estimator, contract = fitted(Answer, np.where(FRAME == "small", "yes", "no"))
    found = runtime(estimator, contract).score(COLUMNS)
    assert ((found["probability"] > 0.5) == (found["answer"] == "no")).all()


@pytest.mark.parametrize(
    ("kind", "label", "classes"),
    [
        (bool, np.array([True, False]), (False, True)),
        (int, np.array([7, 3, 7]), (3, 7)),
        (float, np.array([7.0, 3.0]), ()),
        (Literal["b", "a", "c"], np.array(["c", "b"], dtype=object), ("b", "c")),
    ],
)
def test_classes(kind: Any, label: np.ndarray, classes: tuple[Any, ...]) -> None:
    prediction = type("Prediction", (BaseModel,), {"__annotations__": {"label": kind}})
    found = derive(Row, prediction).with_classes(label).classes
    assert found == classes
    assert [type(one) for one in found] == [type(one) for one in classes]


def test_version_without_classes_keeps_the_order_of_its_model(runtime: Callable[..., Any]) -> None:
    estimator, contract = fitted(Size, FRAME)
    old = contract.model_copy(update={"classes": ()})
    found = runtime(estimator, old).score(COLUMNS)["probabilities"]
    np.testing.assert_allclose(found, estimator.predict_proba(dataframes.as_frame(COLUMNS, old)), atol=1e-5)


@pytest.mark.parametrize(("prediction", "name"), [(Size, "probabilities"), (Answer, "probability")])
def test_champion_without_classes_is_compared_in_the_order_of_today(prediction: Any, name: str, tmp_path: Path) -> None:
    label = FRAME if prediction is Size else np.where(FRAME == "small", "yes", "no").astype(object)
    estimator, contract = fitted(prediction, label)
    old = saved(estimator, contract.model_copy(update={"classes": ()}), label, tmp_path)
    frame = dataframes.as_frame(COLUMNS, contract).assign(**{contract.label.name: label})
    rows = labelled_rows(frame, contract)
    seen = []

    def metrics(actual: np.ndarray, predictions: Any) -> dict[str, float]:
        seen.append(np.array(predictions[name].tolist()))
        return {}

    criteria = evaluation.Criteria(metrics, (), gates.parse({}))
    evaluation.evaluate_version(old, Dataset(contract, rows, rows, rows), criteria)
    np.testing.assert_allclose(seen[0], PythonRuntime(estimator, contract).score(COLUMNS)[name], atol=1e-5)


def saved(estimator: Any, contract: Contract, label: np.ndarray, folder: Path) -> Artifact:
    runtime = PythonRuntime(estimator, contract)
    predictions = runtime.score(COLUMNS)
    (lock := folder / "lock").touch()
    return Contents(
        contract=contract,
        model=estimator,
        onnx=onnx_export.export(estimator, contract, COLUMNS).model,
        example=samples.example(
            runtime, LabelledRows(dataframes.as_frame(COLUMNS, contract), COLUMNS, label), contract
        ),
        background=COLUMNS,
        profile=Profile.of(contract, training=COLUMNS, holdout=COLUMNS, predictions=predictions, label=label),
        details={"trained": "", "commit": "", "runtime": "", "runtime_note": "", "metrics": {}, "data": {}},
        card="",
        lock=lock,
    ).save(folder / "saved", model)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return client_of(tmp_path_factory.mktemp("order"), *fitted(Size, FRAME), FRAME)


def client_of(folder: Path, estimator: Any, contract: Contract, label: np.ndarray) -> TestClient:
    store = Store(folder / "store")
    store.path(1).parent.mkdir(parents=True)
    saved(estimator, contract, label, folder).folder.rename(store.path(1))
    store.write(Release.now("size", 1, {1: ("champion",)}))
    live = LiveRelease(store.root)
    live.load()
    routes = app.Routes(
        Scorer(live, Limits(100, 10_000)), LogFile(folder / "log", "feedback", 0), title="", description=""
    )

    async def nobody(scope: Any, receive: Any, send: Any) -> None: ...

    return TestClient(app.ScoringMiddleware(nobody, routes))


ROWS = [{"low": 1, "high": 1}, {"low": 15, "high": 1}, {"low": 29, "high": 1}]
ORDER = ["small", "large", "medium"]


def test_every_answer_has_the_order_that_model_shows(client: TestClient) -> None:
    assert client.get("/model").json()["classes"] == ORDER
    own = client.post("/predict", json=ROWS).json()
    theirs = client.post("/invocations", json={"dataframe_records": ROWS}).json()["predictions"]
    for row in [*own, *theirs]:
        assert ORDER[int(np.argmax(row["probabilities"]))] == row["size"]
    assert {row["size"] for row in own} == set(ORDER)


def test_document_names_the_classes_in_their_order(client: TestClient) -> None:
    schemas = client.get("/docs.json").json()["components"]["schemas"]
    described = schemas["Prediction"]["properties"]["probabilities"]["description"]
    assert described == 'how likely; of "small", "large", "medium", in this order'
    assert schemas["Prediction"]["properties"]["size"]["enum"] == ORDER


def test_explanation_names_the_class_of_its_output(client: TestClient) -> None:
    explained = client.post("/explain", json=ROWS).json()
    sizes = [row["size"] for row in client.post("/predict", json=ROWS).json()]
    assert [row["class"] for row in explained] == sizes
    assert [row["output"] for row in explained] == [f"probabilities[{ORDER.index(size)}]" for size in sizes]


def test_explained_class_is_the_one_predicted_by_the_threshold(tmp_path: Path) -> None:
    label = np.where(FRAME == "large", "no", "yes").astype(object)
    estimator, contract = fitted(Chosen, label)
    client = client_of(tmp_path, estimator, contract.model_copy(update={"threshold": 0.25}), label)
    rows = [{"low": low, "high": 1} for low in np.linspace(15, 22, 29).tolist()]
    predicted, explained = (client.post(path, json=rows).json() for path in ("/predict", "/explain"))
    assert any(row["answer"] == "no" and row["probabilities"]["no"] < 0.5 for row in predicted)
    assert [row["class"] for row in explained] == [row["answer"] for row in predicted]
    for one, other in zip(predicted, explained, strict=True):
        assert other["prediction"] == pytest.approx(one["probabilities"][one["answer"]], abs=1e-5)
