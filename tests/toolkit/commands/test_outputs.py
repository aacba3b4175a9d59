"""Outputs of every kind, from training to each place that answers: thresholds, several labels, no label, quantiles."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jsonschema
import mlflow
import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, QuantileRegressor, Ridge
from sklearn.metrics import accuracy_score, f1_score, r2_score, recall_score, silhouette_score
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from starlette.testclient import TestClient
from titanic_survival import config, train
from titanic_survival.model import data, pipeline, quality, schema
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile, PredictionLog
from titanic_survival.toolkit.monitoring.recorder import Recorder
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.scoring import Scorer
from titanic_survival.toolkit.version.artifact import Artifact

COUNT = 600


class Row(BaseModel):
    """One machine."""

    load: float
    heat: float
    site: Literal["north", "south"]


def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    load, heat = random.normal(size=(2, COUNT)).round(4)
    frame = pd.DataFrame({"load": load, "heat": heat, "site": random.choice(["north", "south"], COUNT)})
    risk = load + heat + (frame["site"] == "south")
    frame["state"] = np.where(risk + random.normal(size=COUNT) > 2, "broken", "fine")
    frame["leaks"], frame["shakes"] = load > 0.5, heat + load > 0
    frame["power"], frame["noise"] = 2 * load + heat, heat - load
    return frame


def columns() -> Any:
    return make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["site"]), (StandardScaler(), ["load", "heat"]), remainder="drop"
    )


class State(BaseModel):
    """Two classes, not sorted, with a dict of their probabilities."""

    state: Literal["fine", "broken"]
    probability: float = Field(ge=0, le=1)
    probabilities: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(description="how likely")


class Defects(BaseModel):
    """Several labels."""

    leaks: bool
    shakes: bool
    probabilities: dict[str, float]


class DefectsOnly(BaseModel):
    """Several labels, and a vector of their probabilities."""

    leaks: bool
    shakes: bool
    probabilities: list[float] = Field(min_length=2, max_length=2)


class Measures(BaseModel):
    """Several numbers."""

    power: float
    noise: float


class Anomaly(BaseModel):
    """No label: the data has no such column."""

    outlier: bool
    score: float = Field(description="below 0 for outliers")


class Group(BaseModel):
    """No label either."""

    cluster: int = Field(ge=0, le=2)


class Interval(BaseModel):
    """The median, which is compared with the label, between two quantiles."""

    power: float
    low: float
    high: float


class Quantiles(RegressorMixin, BaseEstimator):
    """Three models, one for each quantile."""

    def fit(self, features: pd.DataFrame, label: np.ndarray) -> "Quantiles":
        """Fit them."""
        self.models_ = {
            name: make_pipeline(columns(), QuantileRegressor(quantile=quantile, alpha=0)).fit(features, label)
            for name, quantile in {"power": 0.5, "low": 0.1, "high": 0.9}.items()
        }
        return self

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return one column for each quantile."""
        return pd.DataFrame({name: model.predict(features) for name, model in self.models_.items()})


def state_metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    given = np.array([row["broken"] for row in predictions["probabilities"]])
    np.testing.assert_allclose(given, predictions["probability"], atol=1e-6)
    return {
        "recall": recall_score(actual, predictions["state"], pos_label="broken"),
        "f1": f1_score(actual, predictions["state"], pos_label="broken"),
    }


def defect_metrics(actual: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    return {name: accuracy_score(actual[name], predictions[name]) for name in actual}


def measure_metrics(actual: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    assert list(actual) == ["power", "noise"]
    return {"r2": r2_score(actual, predictions[["power", "noise"]])}


def anomaly_metrics(rows: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    extreme = np.abs(rows["load"]) + np.abs(rows["heat"]) > 3
    return {"share": predictions["outlier"].mean(), "recall": recall_score(extreme, predictions["outlier"])}


def group_metrics(rows: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    return {"silhouette": silhouette_score(rows[["load", "heat"]], predictions["cluster"])}


def interval_metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    inside = (actual >= predictions["low"]) & (actual <= predictions["high"])
    return {"coverage": inside.mean()}


class Case(NamedTuple):
    """One kind of outputs: its schema, model and criteria, and what is expected of the version."""

    prediction: type[BaseModel]
    estimator: Any
    metrics: Any
    gates: dict[str, Any]
    runtime: str = "onnx"
    threshold: Any = None
    labels: tuple[str, ...] = ()
    explained: str = ""


def logistic() -> Any:
    return make_pipeline(columns(), LogisticRegression())


RECALL = {"recall": {"at_least": 0.5, "tolerance": 0.1}}
DEFECTS = {"leaks": {"at_least": 0.8}, "shakes": {"at_least": 0.8}}
CASES = {
    "set": Case(State, logistic(), state_metrics, RECALL, threshold=0.2, labels=("state",), explained="probability"),
    "tuned": Case(
        State,
        logistic(),
        state_metrics,
        RECALL,
        threshold={"maximize": "f1"},
        labels=("state",),
        explained="probability",
    ),
    "fixed": Case(
        State,
        FixedThresholdClassifier(logistic(), threshold=0.25, pos_label="broken"),
        state_metrics,
        RECALL,
        labels=("state",),
        explained="probability",
    ),
    "search": Case(
        State,
        make_pipeline(columns(), TunedThresholdClassifierCV(LogisticRegression(), scoring="balanced_accuracy", cv=3)),
        state_metrics,
        RECALL,
        labels=("state",),
        explained="probability",
    ),
    "defects": Case(
        Defects,
        make_pipeline(columns(), MultiOutputClassifier(LogisticRegression())),
        defect_metrics,
        DEFECTS,
        labels=("leaks", "shakes"),
        explained="probabilities[",
    ),
    "chain": Case(
        DefectsOnly,
        make_pipeline(columns(), ClassifierChain(LogisticRegression())),
        defect_metrics,
        DEFECTS,
        runtime="python",
        labels=("leaks", "shakes"),
        explained="probabilities[",
    ),
    "trees": Case(
        Measures,
        make_pipeline(columns(), RandomForestRegressor(20, random_state=0)),
        measure_metrics,
        {"r2": {"at_least": 0.8}},
        labels=("power", "noise"),
        explained="power",
    ),
    "numbers": Case(
        Measures,
        make_pipeline(columns(), MultiOutputRegressor(Ridge())),
        measure_metrics,
        {"r2": {"at_least": 0.9}},
        labels=("power", "noise"),
        explained="power",
    ),
    "anomaly": Case(
        Anomaly,
        make_pipeline(columns(), IsolationForest(n_estimators=30, contamination=0.05, random_state=0)),
        anomaly_metrics,
        {"share": {"at_most": 0.15}, "recall": {"at_least": 0.3}},
        runtime="any",
        explained="score",
    ),
    "group": Case(
        Group,
        make_pipeline(columns(), KMeans(3, n_init=3, random_state=0)),
        group_metrics,
        {"silhouette": {"at_least": 0.1}},
        explained="cluster=",
    ),
    "interval": Case(
        Interval,
        Quantiles(),
        interval_metrics,
        {"coverage": {"at_least": 0.5}},
        runtime="python",
        labels=("power",),
        explained="power",
    ),
}


class Trained(NamedTuple):
    """A version of one case in a store, and a client of the service that serves it."""

    case: Case
    settings: config.Settings
    version: Artifact
    client: TestClient
    log: Path
    recorder: Recorder


@pytest.fixture(scope="module", params=CASES)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_registry: Callable[[Path], str]
) -> Iterator[Trained]:
    case, home = CASES[request.param], tmp_path_factory.mktemp(request.param)
    settings = config.Settings(mlflow_tracking_uri=new_registry(home), store=home / "store")
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in [
            (schema, "Row", Row),
            (schema, "Prediction", case.prediction),
            (data, "load", table),
            (pipeline, "build", lambda: case.estimator),
            (quality, "metrics", case.metrics),
            (quality, "GATES", case.gates),
            (quality, "SLICES", ("site",)),
        ]:
            patch.setattr(module, name, value)
        patch.setattr(quality, "THRESHOLD", case.threshold, raising=False)
        number = train.run(settings)
    registry, store = connect(settings.mlflow_tracking_uri, settings.model_name), Store(settings.store)
    assert registry.get("champion").number == number
    store.pull(registry.get(str(number)), registry.download)
    store.write(Release.now(settings.model_name, number, {number: ("challenger", "champion")}))
    live = LiveRelease(store.root)
    live.load()
    recorder = Recorder(PredictionLog(LogFile(home / "log", "predictions", 10**8)))
    routes = app.Routes(
        Scorer(live, Limits(1000, 10**6), recorder), LogFile(home / "log", "feedback", 10**8), title="", description=""
    )

    async def nobody(scope: Any, receive: Any, send: Any) -> None: ...

    yield Trained(
        case, settings, store.load(number), TestClient(app.ScoringMiddleware(nobody, routes)), home / "log", recorder
    )


def rows() -> list[dict[str, Any]]:
    return table()[["load", "heat", "site"]].head(40).to_dict("records")


def plain(value: Any) -> Any:
    """Return a value of a prediction as JSON would have it, rounded."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | np.ndarray):
        return [plain(part) for part in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.4g}") if abs(value) > 1e-4 else 0.0
    return value.item() if isinstance(value, np.generic) else value


def test_every_place_gives_the_same_predictions(score_files: Any, trained: Trained, tmp_path: Path) -> None:
    case, client = trained.case, trained.client
    fields = list(case.prediction.model_fields)
    answers = client.post("/predict", json=rows()).json()
    expected = [{name: plain(answer[name]) for name in fields} for answer in answers]
    found = client.post("/invocations", json={"dataframe_records": rows()}).json()["predictions"]
    assert [plain(row) for row in found] == expected
    inputs = [
        {"name": "load", "datatype": "FP64", "shape": [40], "data": [row["load"] for row in rows()]},
        {"name": "heat", "datatype": "FP64", "shape": [40], "data": [row["heat"] for row in rows()]},
        {"name": "site", "datatype": "BYTES", "shape": [40], "data": [row["site"] for row in rows()]},
    ]
    path = f"/v2/models/{trained.settings.model_name}"
    tensors = client.post(f"{path}/infer", json={"inputs": inputs}).json()["outputs"]
    assert [{t["name"]: plain(of_tensor(t, row)) for t in tensors} for row in range(40)] == expected
    metadata = client.get(path).json()["outputs"]
    assert [(t["name"], t.get("parameters")) for t in metadata] == [(t["name"], t.get("parameters")) for t in tensors]
    pyfunc = mlflow.pyfunc.load_model(f"models:/{trained.settings.model_name}/1")
    assert [plain(row) for row in pyfunc.predict(pd.DataFrame(rows())).to_dict("records")] == expected
    pd.DataFrame(rows()).to_csv(tmp_path / "in.csv", index=False)
    for output in (tmp_path / "out.csv", tmp_path / "out.parquet"):
        score_files(trained.version, 1, tmp_path / "in.csv", output)
        frame = pd.read_csv(output) if output.suffix == ".csv" else pd.read_parquet(output)
        if "probabilities" in fields and output.suffix == ".csv":
            frame["probabilities"] = frame["probabilities"].map(json.loads)
        assert [plain(row) for row in frame[fields].to_dict("records")] == expected


def of_tensor(tensor: dict[str, Any], row: int) -> Any:
    width = tensor["shape"][1] if len(tensor["shape"]) > 1 else 0
    if not width:
        return tensor["data"][row]
    values = tensor["data"][row * width : (row + 1) * width]
    names = tensor.get("parameters", {}).get("names")
    return dict(zip(names, values, strict=True)) if names else values


def test_runtime_labels_and_threshold_are_said(trained: Trained) -> None:
    case, contract = trained.case, trained.version.contract
    if case.runtime != "any":
        assert trained.version.runtime.name == case.runtime, trained.version.details["runtime_note"]
    assert tuple(label.name for label in contract.labels) == case.labels
    said = trained.client.get("/model").json()
    assert tuple(said["labels"]) == case.labels
    card = (trained.version.folder / "card.md").read_text()
    if case.prediction is State:
        assert said["threshold"] == said["versions"][0]["threshold"] == contract.threshold
        assert said["classes"] == ["fine", "broken"]
        assert f"broken is predicted where its probability is {contract.threshold:.4g} or more" in card
        answers = trained.client.post("/predict", json=table()[["load", "heat", "site"]].to_dict("records")).json()
        reached = [answer["probability"] >= np.float32(contract.threshold) for answer in answers]
        assert [answer["state"] == "broken" for answer in answers] == reached
        assert any(0.25 < answer["probability"] < 0.5 for answer in answers)
    elif not case.labels:
        assert "learned without a label" in card
    else:
        assert all(label in card for label in case.labels)
        assert said["threshold"] is None


def test_answers_fit_the_document(trained: Trained) -> None:
    document = trained.client.get("/docs.json").json()
    for route, body in [
        ("/predict", rows()),
        ("/explain", rows()[:3]),
        ("/invocations", {"dataframe_records": rows()}),
    ]:
        operation = document["paths"][route]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        answer = trained.client.post(route, json=body).json()
        jsonschema.validate(answer, operation | {"components": document["components"]})
    example = document["paths"]["/feedback"]["post"]["requestBody"]["content"]["application/json"]["example"]
    answer = trained.client.post("/feedback", json=example)
    assert answer.status_code == (202 if trained.case.labels else 409), answer.text
    model = document["components"]["schemas"]["Release"]
    jsonschema.validate(trained.client.get("/model").json(), model | {"components": document["components"]})


def test_explanations_add_up(trained: Trained) -> None:
    for found in trained.client.post("/explain", json=rows()[:3]).json():
        assert found["output"].startswith(trained.case.explained)
        assert found["base"] + sum(found["contributions"].values()) == pytest.approx(found["prediction"], abs=1e-4)
        if "probabilities" in trained.case.prediction.model_fields and len(trained.case.labels) > 1:
            assert found["class"] in trained.case.labels


def test_feedback_is_taken_for_all_labels_or_rejected(trained: Trained) -> None:
    names = list(trained.case.labels)
    answers = trained.client.post("/predict", json=rows()[:3]).json()
    items = [{"id": answer["id"]} | {name: answer[name] for name in names} for answer in answers]
    answer = trained.client.post("/feedback", json=items)
    if not names:
        assert answer.status_code == 409
        assert "without a label" in answer.json()["error"]
        return
    assert answer.json() == {"taken": 3, "problems": []}
    lines = [json.loads(line) for path in trained.log.glob("feedback-*") for line in path.read_text().splitlines()]
    assert [{name: line[name] for name in ("id", *names)} for line in lines[-3:]] == items
    if len(names) > 1:
        partial = trained.client.post("/feedback", json=[{"id": items[0]["id"], names[0]: items[0][names[0]]}])
        assert partial.status_code == 400
        assert partial.json()["problems"][0]["field"] == names[1]


def test_log_has_dicts_as_answers_have_them(trained: Trained) -> None:
    answers = trained.client.post("/predict", json=rows()[:3]).json()
    trained.recorder.drain()
    trained.recorder.close()
    lines = [json.loads(line) for path in trained.log.glob("predictions-*") for line in path.read_text().splitlines()]
    logged = {}
    for line in lines:
        for i, made in enumerate(line["id"]):
            logged[made] = {name: values[i] for name, values in line["outputs"].items()}
    for answer in answers:
        assert plain(logged[answer["id"]]) == {
            name: plain(answer[name]) for name in trained.case.prediction.model_fields
        }
