"""Three protocols, one model: the same rows get the same predictions, whoever asks in whatever form."""

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient
from titanic_survival.toolkit.common.errors import RejectedError
from titanic_survival.toolkit.contract.schema import Contract, FieldSpec
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring import metrics
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.protocols import mlflow_scoring, tensors
from titanic_survival.toolkit.serving.scoring import Scorer
from titanic_survival.toolkit.version.artifact import Artifact

MAX_ROWS, MAX_BYTES = 200, 1_000_000
CSV = {"content-type": "text/csv"}


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    """Answer 418 where the service behind would answer."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body"})


@pytest.fixture(scope="module")
def client(served: Path) -> TestClient:
    live = LiveRelease(served)
    live.load()
    routes = app.Routes(
        Scorer(live, Limits(MAX_ROWS, MAX_BYTES)),
        LogFile(served.parent / "log", "feedback", 0),
        title="Title",
        description="",
    )
    # A fault of the service must show as 500, as callers would see it.
    return TestClient(app.ScoringMiddleware(nobody, routes), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def model(client: TestClient) -> str:
    name: str = client.get("/model").json()["model"]
    return f"/v2/models/{name}"


@pytest.fixture(scope="module")
def predictions(client: TestClient, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what `/predict` returns for `rows`, without ids and versions."""
    answers = client.post("/predict", json=rows).json()
    return [{name: value for name, value in row.items() if name not in ("id", "version")} for row in answers]


def in_mlflows_forms(rows: list[dict[str, Any]]) -> dict[str, Any]:
    names = list(rows[0])
    lists = [list(row.values()) for row in rows]
    return {
        "split": {"dataframe_split": {"columns": names, "data": lists, "index": list(range(len(rows)))}},
        "records": {"dataframe_records": rows},
        "instances, rows": {"instances": rows},
        "instances, lists": {"instances": lists},
        "instances, columns": {"instances": {name: [row[name] for row in rows] for name in names}},
        "inputs, columns": {"inputs": {name: [row[name] for row in rows] for name in names}},
        "inputs, rows": {"inputs": rows},
        "inputs, lists": {"inputs": lists},
    }


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([json.dumps(value) if isinstance(value, list) else value for value in row.values()])
    return text.getvalue().encode()


def as_tensors(rows: list[dict[str, Any]], contract: Contract) -> list[dict[str, Any]]:
    def tensor(column: FieldSpec) -> dict[str, Any]:
        shape = [len(rows)] if column.length is None else [len(rows), column.length]
        values = {"name": column.name, "datatype": tensors.datatype(column), "shape": shape}
        return values | {"data": [row[column.name] for row in rows]}

    return [tensor(column) for column in contract.row]


def from_tensors(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    columns = {}
    for tensor in outputs:
        count, *width = tensor["shape"]
        data = tensor["data"]
        columns[tensor["name"]] = [data[i * width[0] : (i + 1) * width[0]] for i in range(count)] if width else data
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("form", in_mlflows_forms([{"": None}]))
@pytest.mark.parametrize("count", [1, 20])
def test_every_form_of_mlflows_protocol_gets_the_same_predictions(
    client: TestClient, rows: list[dict[str, Any]], predictions: list[dict[str, Any]], form: str, count: int
) -> None:
    expected = client.post("/invocations", json={"dataframe_records": rows[:count]}).json()
    answer = client.post("/invocations", json=in_mlflows_forms(rows[:count])[form])
    assert (answer.status_code, answer.json()) == (200, expected)
    everything = client.post("/invocations", json=in_mlflows_forms(rows)[form])
    assert everything.json() == {"predictions": predictions}


def test_csv_gets_the_same_predictions(
    client: TestClient, rows: list[dict[str, Any]], predictions: list[dict[str, Any]]
) -> None:
    answer = client.post("/invocations", content=as_csv(rows), headers=CSV)
    assert (answer.status_code, answer.json()) == (200, {"predictions": predictions})
    marked = b"\xef\xbb\xbf" + as_csv(rows).replace(b"\r\n", b"\n\n")
    answer = client.post("/invocations", content=marked, headers={"content-type": "text/csv; charset=utf-8"})
    assert answer.json() == {"predictions": predictions}


@pytest.mark.parametrize("path", ["", "/versions/2", "/versions/champion"])
def test_open_inference_gets_the_same_predictions(
    client: TestClient,
    model: str,
    contract: Contract,
    rows: list[dict[str, Any]],
    predictions: list[dict[str, Any]],
    path: str,
) -> None:
    body = {"id": "mine", "inputs": as_tensors(rows, contract)}
    answer = client.post(f"{model}{path}/infer", json=body)
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert from_tensors(content["outputs"]) == predictions
    assert (content["id"], content["model_version"]) == ("mine", "2")
    assert model.endswith(content["model_name"])


def test_open_inference_takes_missing_values_as_null_nan_and_no_text(
    client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    for column in contract.row:
        if not column.nullable:
            continue
        empty = '""' if column.kind == "category" else "NaN"
        answers = []
        for missing in ("null", empty):
            body = json.dumps({"inputs": as_tensors([rows[0] | {column.name: "HERE"}], contract)})
            answers.append(client.post(f"{model}/infer", content=body.replace('"HERE"', missing).encode()))
        assert [answer.status_code for answer in answers] == [200, 200], answers[-1].text
        assert answers[0].json() == answers[1].json()


def test_open_inference_answers_the_outputs_that_are_asked_for(
    client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    name = contract.prediction[-1].name
    body = {"inputs": as_tensors(rows[:2], contract), "outputs": [{"name": name}]}
    assert [output["name"] for output in client.post(f"{model}/infer", json=body).json()["outputs"]] == [name]
    answer = client.post(f"{model}/infer", json=body | {"outputs": [{"name": "no such"}]})
    assert answer.status_code == 400
    assert name in answer.json()["error"]


def test_metadata_describes_every_tensor(client: TestClient, model: str, contract: Contract) -> None:
    for path in (model, f"{model}/versions/1", f"{model}/versions/champion"):
        content = client.get(path).json()
        assert content["versions"] == ["1", "2"]
        assert [put["name"] for put in content["inputs"]] == list(contract.by_name)
        assert [put["name"] for put in content["outputs"]] == [column.name for column in contract.prediction]
        for column, put in zip(contract.row, content["inputs"], strict=True):
            assert put["shape"] == ([-1] if column.length is None else [-1, column.length])
            assert put["datatype"] in tensors.accepted_datatypes(column)


def test_health_is_told_as_each_protocol_has_it(client: TestClient, model: str, version: Artifact) -> None:
    for path in ("/ping", "/health"):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (200, "\n")
    assert client.get("/version").text == mlflow_scoring.mlflow_version(version) != "unknown"
    assert client.get("/v2").json()["name"] == "Title"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    for path in (f"{model}/ready", f"{model}/versions/1/ready"):
        assert client.get(path).json()["ready"] is True


def test_nothing_is_ready_before_a_version_is_loaded(served: Path, model: str) -> None:
    feedback = LogFile(served, "feedback", 0)
    routes = app.Routes(Scorer(LiveRelease(served), Limits(1, 9)), feedback, title="", description="")
    early = TestClient(app.ScoringMiddleware(nobody, routes), raise_server_exceptions=False)
    for path in ("/ping", "/version", "/v2", "/v2/health/ready", model, f"{model}/ready"):
        assert early.get(path).status_code == 503, path
    assert early.get("/v2/health/live").status_code == 200
    assert early.post("/invocations", json={}).status_code == 503
    assert early.post(f"{model}/infer", json={}).status_code == 503


def test_unknown_names_are_answered_with_those_that_are_served(client: TestClient, model: str) -> None:
    for method, path in (("GET", ""), ("GET", "/ready"), ("POST", "/infer")):
        answer = client.request(method, f"/v2/models/other{path}", content=b"{}")
        assert answer.status_code == 404
        assert model.rpartition("/")[2] in answer.json()["error"]
        answer = client.request(method, f"{model}/versions/9{path}", content=b"{}")
        assert answer.status_code == 404
        assert "1, 2 = challenger = champion" in answer.json()["error"]


def test_columns_that_the_model_does_not_know_are_ignored_as_mlflow_does(
    client: TestClient, rows: list[dict[str, Any]]
) -> None:
    known = client.post("/invocations", json={"dataframe_records": rows[:2]}).json()["predictions"]
    more = [row | {"no such field": "?"} for row in rows[:2]]
    assert client.post("/invocations", json={"dataframe_records": more}).json()["predictions"] == known
    assert client.post("/invocations", content=as_csv(more), headers=CSV).json()["predictions"] == known


def test_missing_columns_are_named_with_mlflows_error_code(
    client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    for column in contract.row:
        without = [{name: value for name, value in rows[0].items() if name != column.name}]
        answer = client.post("/invocations", json={"dataframe_records": [*without, {}]})
        inputs = [tensor for tensor in as_tensors(rows[:1], contract) if tensor["name"] != column.name]
        inferred = client.post(f"{model}/infer", json={"inputs": inputs})
        if column.required:
            assert answer.status_code == inferred.status_code == 400
            assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
            assert repr(column.name) in answer.json()["message"]
            assert repr(column.name) in inferred.json()["error"]


def test_value_that_breaks_the_contract_is_named(
    client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    for column in contract.row:
        bad = [rows[0], rows[1] | {column.name: "no such word"}]
        for answer in (
            client.post("/invocations", json={"dataframe_records": bad}),
            client.post("/invocations", content=as_csv(bad), headers=CSV),
        ):
            assert answer.status_code == 400
            assert answer.json()["error_code"] == "BAD_REQUEST"
            assert f"row 1: {column.name!r} = 'no such word'" in answer.json()["message"]
        answer = client.post(f"{model}/infer", json={"inputs": as_tensors(bad, contract)})
        assert answer.status_code == 400
        assert column.name in answer.json()["error"]


ODD_VALUES = ["1.5", "true", '"1"', "NaN", "1e400", "9" * 5000, "[]", "{}", '"\\ud800"', '"' + "x" * 9999 + '"']


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: value[:9])
def test_no_value_makes_a_server_error(
    client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]], value: str
) -> None:
    for column in contract.row:
        odd = [rows[0] | {column.name: "HERE"}]
        bodies = [("/invocations", body) for body in in_mlflows_forms(odd).values()]
        bodies.append((f"{model}/infer", {"inputs": as_tensors(odd, contract)}))
        for path, body in bodies:
            text = json.dumps(body).replace('"HERE"', value)
            answer = client.post(path, content=text.encode(), headers={"content-type": "application/json"})
            assert answer.status_code in (200, 400), answer.text
            assert len(answer.text) < 3000
            # What Python reads as NaN is no JSON, and stops callers in other languages.
            json.loads(answer.text, parse_constant=lambda text: pytest.fail(f"{text} in the answer"))
        answer = client.post("/invocations", content=as_csv([rows[0] | {column.name: value}]), headers=CSV)
        assert answer.status_code in (200, 400)


ODD = [b"", b"null", b"3", b'"rows"', b"[]", b"{}", b"\xff\xfe\x00", b"[" * 100_000, b'{"a": 1', b"\x00"]
ODD_TABLES = ["null", "[]", "{}", "3", "[3]", "[null]", "[[]]", "[{}]", "[[[[]]]]", '{"data": 3}']
ODD_TABLES += ['{"data": {}, "columns": 3}', '{"data": [], "columns": [[]]}', '{"data": [[1], 3], "columns": [{}]}']
for form in ("dataframe_split", "dataframe_records", "instances", "inputs"):
    ODD += [b'{"%s": %s}' % (form.encode(), table.encode()) for table in ODD_TABLES]


@pytest.mark.parametrize("body", ODD, ids=lambda body: body[:40].decode("latin-1"))
def test_odd_body_is_the_callers_mistake(client: TestClient, model: str, body: bytes) -> None:
    answer = client.post("/invocations", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json().keys() == {"error_code", "message"}
    answer = client.post(f"{model}/infer", content=body)
    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}
    assert client.post("/invocations", content=body, headers=CSV).status_code == 400


def test_renamed_input_is_named_with_the_one_that_is_meant(
    client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    name = next(field.name for field in contract.row if field.required)
    renamed = [{f"{key}x" if key == name else key: value for key, value in rows[0].items()}]
    answer = client.post("/invocations", json={"dataframe_records": renamed})
    assert f"missing inputs [{name!r}] ({name + 'x'!r} is probably {name!r});" in answer.json()["message"]
    answer = client.post(f"{model}/infer", json={"inputs": [{"name": f"{name}x"}]})
    assert f"does not exist (did you mean {name!r}?)" in answer.json()["error"]
    (reason,) = [
        one["reason"] for one in client.post("/predict", json=renamed).json()["problems"] if one["field"] != name
    ]
    assert f"did you mean {name!r}?" in reason


@pytest.mark.parametrize(
    "change",
    [{"shape": value} for value in (None, 3, [], [-1], [2], ["1"], [10**30], [1, 99], [[1]])]
    + [{"datatype": value} for value in (None, "FP8", 3, [])]
    + [{"data": value} for value in (None, 3, [], [{}], [[[1]]], [1] * 99)]
    + [{"name": value} for value in (None, 3, "no such", [])],
    ids=str,
)
def test_odd_tensor_is_the_callers_mistake(
    client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]], change: dict[str, Any]
) -> None:
    first, *others = as_tensors(rows[:1], contract)
    answer = client.post(f"{model}/infer", json={"inputs": [first | change, *others]})
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_content_type_that_cannot_be_read_is_415(client: TestClient, rows: list[dict[str, Any]]) -> None:
    body = json.dumps({"dataframe_records": rows[:1]}).encode()
    for kind in ("text/xml", "application/json; charset=latin-1", "application/json; format=pandas-split"):
        assert client.post("/invocations", content=body, headers={"content-type": kind}).status_code == 415
    assert client.post("/invocations", content=body).status_code == 415


def test_whole_number_in_a_shape_may_be_written_as_any_other(
    client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    tensors = as_tensors(rows[:2], contract)
    expected = client.post(f"{model}/infer", json={"inputs": tensors}).json()
    for tensor in tensors:
        tensor["shape"] = [float(size) for size in tensor["shape"]]
    assert client.post(f"{model}/infer", json={"inputs": tensors, "outputs": None}).json() == expected


def test_limits_hold_for_every_protocol(
    client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    many = [rows[0]] * (MAX_ROWS + 1)
    for answer in (
        *(client.post("/invocations", json=form) for form in in_mlflows_forms(many).values()),
        client.post("/invocations", content=as_csv(many), headers=CSV),
        client.post(f"{model}/infer", json={"inputs": as_tensors(many, contract)}),
    ):
        assert answer.status_code == 413
        assert str(MAX_ROWS) in answer.text
    for path in ("/invocations", f"{model}/infer"):
        answer = client.post(path, content=b" " * (MAX_BYTES + 1), headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert str(MAX_BYTES) in answer.text


def test_no_rows_get_no_predictions(client: TestClient, model: str, contract: Contract) -> None:
    names = list(contract.by_name)
    answer = client.post("/invocations", json={"dataframe_split": {"columns": names, "data": []}})
    assert (answer.status_code, answer.json()) == (200, {"predictions": []})
    answer = client.post("/invocations", content=",".join(names).encode() + b"\n", headers=CSV)
    assert answer.json() == {"predictions": []}
    answer = client.post(f"{model}/infer", json={"inputs": as_tensors([], contract)})
    assert [output["data"] for output in answer.json()["outputs"]] == [[]] * len(contract.prediction)


@pytest.mark.parametrize("path", ["/invocations", "/infer"])
def test_wrong_method_is_405(client: TestClient, model: str, path: str) -> None:
    answer = client.get(path if path == "/invocations" else model + path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    for own in ("/ping", "/v2", "/v2/health/live", model, f"{model}/ready", f"{model}/versions/1/ready"):
        answer = client.put(own)
        assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


@pytest.mark.parametrize("path", ["/v2/models", "/v2/health", "/v2/repository/models"])
def test_path_that_is_none_of_the_protocol_is_404_and_leads_nowhere_else(client: TestClient, path: str) -> None:
    answer = client.get(path, follow_redirects=False)
    assert answer.status_code == 404
    assert path in answer.json()["error"]


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/health/ready", "/ping", "/health", "/version"])
def test_a_slash_at_the_end_changes_nothing(client: TestClient, path: str) -> None:
    with_slash, without = client.get(f"{path}/", follow_redirects=False), client.get(path)
    assert (with_slash.status_code, with_slash.content) == (200, without.content)
    assert client.head(f"{path}/").status_code == client.head(path).status_code == 200


def test_requests_for_predictions_may_have_a_slash_at_the_end(
    client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    tensors, records = {"inputs": as_tensors(rows, contract)}, {"dataframe_records": rows}
    for path, body in {f"{model}/infer": tensors, "/invocations": records, "/predict": rows}.items():
        answer = client.post(f"{path}/", json=body, follow_redirects=False)
        assert answer.status_code == 200, path
    assert client.get(f"{model}/").json() == client.get(model).json()


def test_the_index_of_the_repository_lists_the_versions(client: TestClient, model: str) -> None:
    name = model.rpartition("/")[2]
    ready = {"name": name, "state": "READY", "reason": ""}
    answer = client.post("/v2/repository/index", json={"ready": True})
    assert answer.status_code == 200
    assert answer.json() == [ready | {"version": number} for number in ("1", "2")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_of_mlflow_comes_in_the_encodings_that_python_reads(
    client: TestClient, rows: list[dict[str, Any]], encoding: str
) -> None:
    body = json.dumps({"dataframe_records": rows}, ensure_ascii=False)
    headers = {"content-type": "application/json"}
    answer = client.post("/invocations", content=body.encode(encoding), headers=headers)
    assert answer.json() == client.post("/invocations", content=body.encode(), headers=headers).json()
    assert client.post("/invocations", content=body.encode(encoding)[:-1] + b"\xff", headers=headers).status_code == 400


@pytest.mark.parametrize(
    ("kind", "fitting", "others"),
    [
        ("INT8", [-128, 127, 2.0, None], [128, -129, 1.5, float("nan")]),
        ("UINT8", [0, 255], [-1, 256]),
        ("INT32", [2**31 - 1], [2**31]),
        ("UINT64", [0], [-1, 2**64]),
        ("FP16", [65504.0, float("nan")], [65505.0]),
        ("FP32", [3e38], [3.5e38, -1e300]),
        ("FP64", [1e300], []),
    ],
)
def test_numbers_fit_their_datatype(kind: str, fitting: list[Any], others: list[Any]) -> None:
    field = FieldSpec(name="number", kind="float")
    for value in fitting:
        tensors.column_values({"datatype": kind, "shape": [1], "data": [value]}, field)
    for value in others:
        with pytest.raises(RejectedError, match=f"does not fit {kind}"):
            tensors.column_values({"datatype": kind, "shape": [1], "data": [value]}, field)


def test_an_id_may_be_null(client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]]) -> None:
    answer = client.post(f"{model}/infer", json={"inputs": as_tensors(rows, contract)} | {"id": None})
    assert answer.status_code == 200
    assert "id" not in answer.json()


def test_rows_of_every_protocol_are_counted_together(
    client: TestClient, model: str, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    def counted() -> list[float]:
        client.app.routes.scorer.recorder.drain()
        counters = (metrics.ROWS.labels(2), metrics.REQUESTS.labels(2, 200), metrics.REQUESTS.labels(2, 400))
        return [counter._value.get() for counter in counters]

    before = counted()
    client.post("/predict", json=rows[:1])
    client.post("/invocations", json={"instances": rows[:2]})
    client.post("/invocations", json={})
    client.post(f"{model}/infer", json={"inputs": as_tensors(rows[:4], contract)})
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [7, 3, 1]


def test_documented_examples_are_taken(client: TestClient) -> None:
    document = client.get("/docs.json").json()
    sent = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parameters = operation.get("parameters", [])
            names = {parameter["name"]: parameter["schema"].get("enum", ["1"])[0] for parameter in parameters}
            content = operation.get("requestBody", {"content": {"": {"example": None}}})["content"]
            for kind, body in content.items():
                example = body["example"]
                data = example if isinstance(example, str) else json.dumps(example)
                answer = client.request(method, path.format(**names), content=data, headers={"content-type": kind})
                assert str(answer.status_code) == min(operation["responses"]), (path, kind, answer.text)
                sent.append(kind)
    assert sent.count("application/json") >= 8
    assert "text/csv" in sent


def test_an_onnx_model_is_served_without_pandas_scikit_learn_and_mlflow(served: Path, version: Artifact) -> None:
    if version.runtime.name != "onnx":
        pytest.skip("this model is served by Python")
    package = app.__name__.partition(".")[0]
    code = f"""
import sys
from pathlib import Path
from {package}.toolkit.monitoring import prediction_log
from {package}.toolkit.live import live_release
from {package}.toolkit.serving import app, limits, scoring
live = live_release.LiveRelease(Path({str(served)!r}))
live.load()
log = prediction_log.LogFile(Path(), "feedback", 0)
app.Routes(scoring.Scorer(live, limits.Limits(9, 9999)), log, title="", description="")
print([name for name in ("pandas", "sklearn", "mlflow") if name in sys.modules])
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, cwd=Path(app.__file__).parents[3], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


class Lenient(BaseModel):
    """Nothing is required."""

    amount: float | None = None
    bags: int = 2


class Answer(BaseModel):
    """A number."""

    answer: float


class Sum:
    """Adds up."""

    def predict(self, frame: Any) -> dict[str, Any]:
        """Return the field."""
        return {"answer": frame["amount"].fillna(0).to_numpy() + frame["bags"].to_numpy()}


@pytest.fixture
def lenient(save: Callable[..., Any], tmp_path: Path) -> Callable[..., TestClient]:
    """Return a function that makes a client of a service whose model needs no column."""
    store = Store(tmp_path / "lenient")
    shutil.copytree(save(Lenient, Answer, Sum(), [{"amount": 1}]).folder, store.path(1))
    store.write(Release.now("sum", 1, {1: ("champion",)}))

    def make(*, strict: bool) -> TestClient:
        live = LiveRelease(store.root)
        live.load()
        scorer = Scorer(live, Limits(10, 10_000, strict=strict))
        routes = app.Routes(scorer, LogFile(tmp_path / "log", "feedback", 0), title="", description="")
        return TestClient(app.ScoringMiddleware(nobody, routes), raise_server_exceptions=False)

    return make


MISSPELLED = [
    {"dataframe_records": [{"amount": 1, "Bag": 3}]},
    {"dataframe_split": {"columns": ["amount", "Bag"], "data": [[1, 3]]}},
    {"inputs": {"amount": [1], "Bag": [3]}},
    {"instances": [{"amount": 1, "Bag": 3}]},
    "amount,Bag\n1,3\n",
]


def invoke(client: TestClient, body: Any) -> Any:
    if isinstance(body, str):
        return client.post("/invocations", content=body, headers={"content-type": "text/csv"})
    return client.post("/invocations", json=body)


@pytest.mark.parametrize("body", MISSPELLED)
def test_unknown_and_missing_columns_are_named_beside_the_predictions(lenient: Any, body: Any) -> None:
    answer = invoke(lenient(strict=False), body)
    assert (answer.status_code, answer.json()["predictions"]) == (200, [{"answer": 3.0}])
    unknown, missing = answer.json()["warnings"]
    assert "'Bag' (did you mean 'bags'?)" in unknown
    assert "'bags' (2)" in missing


@pytest.mark.parametrize("body", [*MISSPELLED, {"dataframe_records": [{"amount": 1}]}])
def test_strict_service_rejects_unknown_and_missing_columns(lenient: Any, body: Any) -> None:
    answer = invoke(lenient(strict=True), body)
    assert answer.status_code == 400
    assert "'bags' (2)" in answer.json()["message"]
    assert "STRICT" in answer.json()["message"]


@pytest.mark.parametrize("strict", [False, True])
def test_table_with_exactly_the_columns_has_no_warnings(lenient: Any, strict: bool) -> None:
    answer = invoke(lenient(strict=strict), {"dataframe_records": [{"amount": 1, "bags": 3}]})
    assert answer.json() == {"predictions": [{"answer": 4.0}]}


@pytest.mark.parametrize("body", ["{}", "[]", "other\n1\n", {"inputs": {"other": [1]}}, {"instances": [{"other": 1}]}])
def test_table_without_any_column_of_the_model_is_rejected(lenient: Any, body: Any) -> None:
    answer = invoke(lenient(strict=False), body)
    assert answer.status_code == 400
    assert "its inputs are amount, bags" in answer.json()["message"]
