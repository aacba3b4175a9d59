"""Texts, keys, dates, times, decimals and matrices: one row gives one prediction, however it arrives."""

import json
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from pydantic import BaseModel, Field, create_model
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from starlette.testclient import TestClient
from titanic_survival import model
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import Columns
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.registry.packaging import signature
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.protocols.open_inference import request
from titanic_survival.toolkit.serving.protocols.tabular import csv_table
from titanic_survival.toolkit.serving.scoring import Scorer
from titanic_survival.toolkit.training import samples
from titanic_survival.toolkit.training.dataset import labelled_rows
from titanic_survival.toolkit.training.export import onnx_export
from titanic_survival.toolkit.version.artifact import Artifact
from titanic_survival.toolkit.version.contents import Contents
from titanic_survival.toolkit.version.frame_scorer import FrameScorer
from titanic_survival.toolkit.version.reference_profile import Profile
from titanic_survival.toolkit.version.runtime import PythonRuntime

ROWS = 300
JSON = {"content-type": "application/json"}
SENT = 40


class Row(BaseModel):
    """One of each."""

    note: str | None = Field(default=None, max_length=80)
    zip_code: Annotated[str, "key"] = Field(max_length=5)
    account: Annotated[int, "key"] | None = None
    built: date = Field(ge=date(1900, 1, 1))
    sold: datetime | None = None
    opens: time
    lasts: timedelta | None = None
    price: Decimal
    trend: list[float] | None = Field(default=None, min_length=2, max_length=2)
    grid: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(min_length=2, max_length=2)


class Prediction(BaseModel):
    """A number."""

    worth: float


def table() -> pd.DataFrame:
    """Return rows with native values, and a label to which each of the fields adds."""
    dice = np.random.default_rng(0)
    words = np.array(["sunny", "quiet", "old", "garden", "noisy", "new"])
    built = np.datetime64("1950-01-01") + dice.integers(0, 25_000, ROWS)
    seconds = dice.integers(0, 10**9, ROWS)
    frame = pd.DataFrame(
        {
            "note": [" ".join(dice.choice(words, 3)) if i % 7 else None for i in range(ROWS)],
            "zip_code": [f"0{number}" for number in dice.integers(1000, 1020, ROWS)],
            "account": [2**40 + int(number) if i % 5 else None for i, number in enumerate(dice.integers(0, 9, ROWS))],
            "built": built.astype(object),
            "sold": [datetime(2020, 1, 1) + timedelta(seconds=int(s)) if s % 4 else None for s in seconds],
            "opens": [time(int(s) % 24, int(s) % 60) for s in seconds],
            "lasts": [timedelta(seconds=int(s) % 10**6) if s % 3 else None for s in seconds],
            "price": [Decimal(int(s) % 100_000) / 100 for s in seconds],
            "trend": [[float(s % 5), s / 10**9] if s % 5 else None for s in seconds],
            "grid": [[[0.5, float(s % 3)], [1.0, s / 10**9]] for s in seconds],
        },
        dtype=object,
    )
    frame["worth"] = seconds / 10**8 + frame["note"].notna() * 3 + frame["zip_code"].str[-1].astype(int)
    return frame


def pipeline() -> Any:
    """Return a pipeline that takes every column, and that ONNX Runtime can run."""
    numbers = [name for name in derive(Row, Prediction).model_columns if name not in ("note", "zip_code", "account")]
    columns = ColumnTransformer(
        [
            ("words", TfidfVectorizer(), "note"),
            ("keys", OneHotEncoder(handle_unknown="ignore"), ["zip_code", "account"]),
            ("numbers", SimpleImputer(), numbers),
        ],
        sparse_threshold=0,
    )
    return make_pipeline(columns, RandomForestRegressor(20, random_state=0))


@pytest.fixture(scope="module", params=["onnx", "python"])
def version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Return a version of that pipeline in a store, served by one of the runtimes."""
    folder = tmp_path_factory.mktemp("kinds")
    contract = derive(Row, Prediction)
    rows = labelled_rows(table(), contract)
    estimator = pipeline().fit(dataframes.as_frame(rows.columns, contract), rows.label)
    export = onnx_export.export(estimator, contract, rows.columns)
    assert export.model, export.note
    runtime = PythonRuntime(estimator, contract)
    (folder / "lock").touch()
    store = Store(folder / "store")
    contents = Contents(
        contract=contract,
        model=estimator,
        onnx=export.model if request.param == "onnx" else None,
        example=samples.example(runtime, rows, contract),
        background=samples.background(rows),
        profile=Profile.of(
            contract,
            training=rows.columns,
            holdout=rows.columns,
            predictions=runtime.score(rows.columns),
            label=rows.label,
        ),
        details={"trained": "", "commit": "", "runtime": "", "runtime_note": "", "metrics": {}, "data": {}},
        card="",
        lock=folder / "lock",
    )
    contents.save(store.path(1), model)
    store.write(Release.now("worth", 1, {1: ("champion",)}))
    found = Artifact(store.path(1))
    found.verify()
    return found


@pytest.fixture(scope="module")
def client(version: Artifact) -> TestClient:
    """Return a client of a service of the version."""
    live = LiveRelease(version.folder.parents[1])
    live.load()
    feedback = LogFile(version.folder.parents[1] / "log", "feedback", 0)
    routes = app.Routes(Scorer(live, Limits(1000, 100_000)), feedback, title="", description="")

    async def nobody(scope: Any, receive: Any, send: Any) -> None: ...

    return TestClient(app.ScoringMiddleware(nobody, routes))


@pytest.fixture(scope="module")
def sent() -> list[dict[str, Any]]:
    """Return rows as a caller writes them, by hand and not by the toolkit."""
    rows = []
    for row in table().head(SENT).drop(columns="worth").to_dict("records"):
        texts = {name: row[name].isoformat() for name in ("built", "opens")}
        texts["sold"] = row["sold"] and row["sold"].isoformat() + "+00:00"
        texts["lasts"] = None if row["lasts"] is None else f"PT{row['lasts'].total_seconds():.0f}S"
        rows.append(row | texts | {"price": str(row["price"])})
    return rows


@pytest.fixture(scope="module")
def expected(version: Artifact) -> np.ndarray:
    """Return the predictions for the same rows as native values of a DataFrame."""
    return FrameScorer(version.folder).predict(table().head(SENT).drop(columns="worth"))["worth"].to_numpy()


def cells(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a CSV file has them."""

    def text(value: Any) -> str:
        return "" if value is None else json.dumps(value) if isinstance(value, list) else str(value)

    return pd.DataFrame([{name: text(value) for name, value in row.items()} for row in rows])


def test_own_protocol(client: TestClient, sent: list[dict[str, Any]], expected: np.ndarray) -> None:
    answer = client.post("/predict", json=sent)
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose([row["worth"] for row in answer.json()], expected, rtol=1e-6)


@pytest.mark.parametrize("form", ["records", "split", "csv"])
def test_protocol_of_mlflow(client: TestClient, sent: list[dict[str, Any]], expected: np.ndarray, form: str) -> None:
    if form == "csv":
        body, kind = cells(sent).to_csv(index=False), "text/csv"
    else:
        table_ = {"columns": list(sent[0]), "data": [list(row.values()) for row in sent]}
        content = {"dataframe_records": sent} if form == "records" else {"dataframe_split": table_}
        body, kind = json.dumps(content), "application/json"
    answer = client.post("/invocations", content=body, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    found = [row["worth"] for row in answer.json()["predictions"]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_open_inference_protocol(
    client: TestClient, version: Artifact, sent: list[dict[str, Any]], expected: np.ndarray
) -> None:
    body = request([row | {"price": float(row["price"])} for row in sent], version.contract)
    tensors = {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in body["inputs"]}
    assert tensors["grid"] == ("FP32", [SENT, 2, 2])
    assert tensors["account"] == ("INT64", [SENT])
    assert tensors["built"] == ("BYTES", [SENT])
    answer = client.post("/v2/models/worth/infer", json=body)
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json()["outputs"][0]["data"], expected, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_file(
    score_files: Any,
    version: Artifact,
    sent: list[dict[str, Any]],
    expected: np.ndarray,
    suffix: str,
    tmp_path: Path,
) -> None:
    source, output = tmp_path / f"rows{suffix}", tmp_path / f"out{suffix}"
    if suffix == ".csv":
        cells(sent).to_csv(source, index=False)
    else:
        rows = table().head(SENT).drop(columns="worth")
        native = pa.table({name: pa.array(rows[name].tolist()) for name in rows})
        assert [str(type_) for type_ in native.schema.types][3:7] == [
            "date32[day]",
            "timestamp[us]",
            "time64[us]",
            "duration[us]",
        ]
        assert pa.types.is_decimal(native.schema.field("price").type)
        pa.parquet.write_table(native, source)
    result = score_files(version, 1, source, output)
    assert result.counts.rejected == 0, Path(result.rejects.path).read_text()
    found = pd.read_csv(output) if suffix == ".csv" else pa.parquet.read_table(output).to_pandas()
    np.testing.assert_allclose(found["worth"], expected, rtol=1e-6)


@pytest.mark.parametrize("form", ["native", "text"])
def test_schema_of_mlflow_takes_text_and_native_values(version: Artifact, sent: Any, expected: Any, form: str) -> None:
    from mlflow.models.utils import _enforce_schema

    frame = table().head(SENT).drop(columns="worth")
    if form == "text":
        vectors = frame[["trend", "grid"]]
        frame = cells(sent).replace("", None).assign(trend=vectors["trend"], grid=vectors["grid"])
        frame["account"] = frame["account"].astype("float64")
    frame["price"] = frame["price"].astype("float64")
    frame["account"] = frame["account"].astype("float64")
    scored = FrameScorer(version.folder).predict(_enforce_schema(frame, signature(version.contract).inputs))
    np.testing.assert_allclose(scored["worth"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("built", "1850-01-01", "expected a date such as 2026-01-31, at least 1900-01-01"),
        ("built", 1234567890, "expected a date"),
        ("sold", "yesterday", "expected a date and time such as 2026-01-31T18:30:00Z, or missing"),
        ("opens", "25:00", "expected a time of day"),
        ("lasts", "P1M", "expected a duration"),
        ("note", "x" * 81, "expected a text of 1 to 80 characters, or missing"),
        ("zip_code", "", "expected a text of 1 to 5 characters"),
        ("zip_code", 2134, "expected a text of 1 to 5 characters"),
        ("account", "seven", "expected a whole number, or missing"),
        ("price", "1,50", "expected a number"),
        ("grid", [1, 2, 3, 4], "expected a list of 2 lists of 2 numbers"),
    ],
)
def test_violation_says_what_is_expected(
    client: TestClient, sent: list[dict[str, Any]], field: str, value: Any, reason: str
) -> None:
    answer = client.post("/predict", json=[sent[0] | {field: value}])
    assert answer.status_code == 400
    problem = answer.json()["problems"][0]
    assert problem["field"].startswith(field)
    assert reason in problem["reason"]


def test_optional_vectors_may_be_missing_in_any_row_of_a_column(client: TestClient, sent: list[dict[str, Any]]) -> None:
    for given in ([None, [1.0, 2.0]], [[1.0, 2.0], None], [None, None]):
        rows = [row | {"trend": trend} for row, trend in zip(sent, given, strict=False)]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        answer = client.post("/invocations", json={"inputs": columns})
        assert answer.status_code == 200, answer.text
        assert answer.json() == client.post("/invocations", json={"dataframe_records": rows}).json()


@pytest.mark.parametrize("neighbour", [1.5, "1.5"])
def test_text_that_means_missing_does_so_whatever_other_rows_have(
    client: TestClient, sent: list[dict[str, Any]], neighbour: Any
) -> None:
    rows = [sent[0] | {"note": "NA"}, sent[1] | {"price": neighbour}]
    answers = client.post("/invocations", json={"dataframe_records": rows}).json()["predictions"]
    (missing,) = client.post("/predict", json=[sent[0] | {"note": None}]).json()
    assert answers[0]["worth"] == pytest.approx(missing["worth"], rel=1e-6)


HOSTILE: list[Any] = ["", "\0", "a\0b", "🎉" * 20, "NA", "\n", 0, -1, 2**70, -(2**63), 1e308, True, None, [], {}, [[]]]
HOSTILE += [[[1, 2], [3, None]], [[1, 2], [3, 4], [5, 6]], [None, None], "9" * 5000, "1e400", "+.5", "..", "nan", "١٢٣"]
HOSTILE += ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "-P999999999DT1S", "P" + "9" * 400 + "D", "24:00"]
HOSTILE += ["2026-02-30", "2026-01-31T18:30:00.1234567Z", "2026-01-31\n", "-2026-01-01", "18:30:60"]


@pytest.mark.parametrize("field", Row.model_fields)
def test_no_value_makes_an_error_of_the_server(client: TestClient, sent: list[dict[str, Any]], field: str) -> None:
    statuses = set()
    for value in HOSTILE:
        row = sent[0] | {field: value}
        split = {"columns": list(row), "data": [list(row.values())]}
        tensor = {"name": field, "datatype": "BYTES", "shape": [1], "data": [value]}
        for path, body in {
            "/predict": [row],
            "/explain": [row],
            "/invocations": {"dataframe_split": split},
            "/v2/models/worth/infer": {"inputs": [tensor]},
        }.items():
            statuses.add(client.post(path, content=json.dumps(body), headers=JSON).status_code)
        csv = cells([row]).to_csv(index=False).encode()
        statuses.add(client.post("/invocations", content=csv, headers={"content-type": "text/csv"}).status_code)
    assert statuses == {200, 400} or statuses == {400}


def test_column_of_numbers_says_how_to_read_it_as_text(version: Artifact) -> None:
    frame = table().assign(zip_code=2134)
    found = dataframes.check_features(frame, version.contract).violations
    assert "read_csv(..., dtype={'zip_code': str})" in found[0].reason


def test_explanation_has_one_contribution_for_each_field(client: TestClient, sent: list[dict[str, Any]]) -> None:
    (explained,) = client.post("/explain", json=sent[:1]).json()
    assert list(explained["contributions"]) == list(Row.model_fields)
    total = sum(explained["contributions"].values()) + explained["base"]
    assert total == pytest.approx(explained["prediction"], rel=1e-4)


def test_document_describes_the_fields_without_their_values(client: TestClient) -> None:
    fields = client.get("/docs.json").json()["components"]["schemas"]["Row"]["properties"]
    assert fields["built"] == {"type": "string", "format": "date"}
    assert fields["zip_code"] == {"type": "string", "minLength": 1, "maxLength": 5}
    assert fields["grid"]["items"]["items"]["type"] == "number"
    assert "0100" not in json.dumps(fields)


@pytest.fixture
def drifted(version: Artifact) -> Callable[..., dict[str, float]]:
    """Return a function that changes a field of the training rows and returns the drift of all features."""

    def drift(**changes: Any) -> dict[str, float]:
        columns: Columns = dataframes.check_features(table().assign(**changes), version.contract).columns
        return version.profile.drift(columns)

    return drift


@pytest.mark.parametrize(
    ("feature", "changes"),
    [
        ("note", {"note": "sunny sunny sunny sunny sunny sunny"}),
        ("note/unseen tokens", {"note": "entirely other"}),
        ("zip_code", {"zip_code": "99999"}),
        ("opens", {"opens": time(3)}),
        ("lasts", {"lasts": timedelta(days=400)}),
    ],
)
def test_drift_is_seen(drifted: Callable[..., dict[str, float]], feature: str, changes: dict[str, Any]) -> None:
    assert max(drifted().values()) < 0.05
    found = drifted(**changes)
    assert found[feature] > 0.25
    assert all(value < 0.05 for name, value in found.items() if name.partition("/")[0] != feature.partition("/")[0])


def test_later_days_are_no_drift(drifted: Callable[..., dict[str, float]]) -> None:
    assert max(drifted(built=date(2026, 1, 1)).values()) < 0.05


def test_bins_of_keys_count_those_that_are_rare_or_new(version: Artifact) -> None:
    assert version.profile.features["zip_code"].names[-2:] == ("rare", "unseen")


def test_csv_takes_texts_as_long_as_the_schema_allows() -> None:
    contract = derive(create_model("Row", note=(str, Field(max_length=300_000))), Prediction)
    _, rows = csv_table(b"note\n" + b"x" * 200_000 + b"\n", contract, 10)
    assert len(rows[0]["note"]) == 200_000
