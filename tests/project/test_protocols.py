"""The protocols of others, held against those others: MLflow's own server, and a client of Triton's makers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from .conftest import Project, free_port, running

pytestmark = pytest.mark.slow

MODEL = "titanic-survival"
ROW = {
    "sex": "female",
    "age": 29.0,
    "passenger_class": "1st",
    "fare": 211.34,
    "port": "Southampton",
    "siblings_spouses": 0,
    "parents_children": 0,
}
OTHER = ROW | {"sex": "male", "age": None, "passenger_class": "3rd", "port": None, "siblings_spouses": 2}
ROWS, NAMES = [ROW, OTHER], list(ROW)
LISTS = [list(row.values()) for row in ROWS]
COLUMNS = {name: [row[name] for row in ROWS] for name in NAMES}
JSON, CSV = "application/json", "text/csv"
TABLE = ",".join(NAMES) + "\n" + "\n".join(",".join("" if v is None else str(v) for v in row) for row in LISTS) + "\n"


def records(**changed: Any) -> dict[str, Any]:
    """Return a request for one row with some other values."""
    return {"dataframe_records": [ROW | changed]}


def without(*names: str) -> dict[str, Any]:
    """Return a request for one row without some columns."""
    return {"dataframe_records": [{name: value for name, value in ROW.items() if name not in names}]}


#: What both answer with the same status, and with the same body or the same error code.
SAME: dict[str, tuple[Any, str]] = {
    "split": ({"dataframe_split": {"columns": NAMES, "data": LISTS}}, JSON),
    "split, index": ({"dataframe_split": {"columns": NAMES, "data": LISTS, "index": [7, 8]}}, JSON),
    "split, other order": ({"dataframe_split": {"columns": NAMES[::-1], "data": [LISTS[0][::-1]]}}, JSON),
    "split, no rows": ({"dataframe_split": {"columns": NAMES, "data": []}}, JSON),
    "split, no columns": ({"dataframe_split": {"data": LISTS}}, JSON),
    "split, other keys": ({"dataframe_split": {"columns": NAMES, "data": LISTS, "rows": 2}}, JSON),
    "split, too few values": ({"dataframe_split": {"columns": NAMES, "data": [LISTS[0][:3]]}}, JSON),
    "split, two of a name": ({"dataframe_split": {"columns": [*NAMES, "age"], "data": [[*LISTS[0], 3]]}}, JSON),
    "split, list": ({"dataframe_split": LISTS}, JSON),
    "records": ({"dataframe_records": ROWS}, JSON),
    "records, none": ({"dataframe_records": []}, JSON),
    "records, object": ({"dataframe_records": ROW}, JSON),
    "records, lists": ({"dataframe_records": LISTS}, JSON),
    "instances": ({"instances": ROWS}, JSON),
    "instances, columns": ({"instances": COLUMNS}, JSON),
    "instances, columns of other lengths": ({"instances": COLUMNS | {"sex": ["male"]}}, JSON),
    "inputs": ({"inputs": COLUMNS}, JSON),
    "inputs, rows": ({"inputs": ROWS}, JSON),
    "inputs, one row": ({"inputs": ROW}, JSON),
    "inputs, number": ({"inputs": 3}, JSON),
    "params": ({"inputs": COLUMNS, "params": {"a": 1}}, JSON),
    "other fields": ({"inputs": COLUMNS, "id": 3}, JSON),
    "two forms": ({"inputs": COLUMNS, "instances": ROWS}, JSON),
    "no form": ({"rows": ROWS}, JSON),
    "list": (ROWS, JSON),
    "no JSON": (b"{rows", JSON),
    "no text": (b"\xff\xfe", JSON),
    "nothing": (b"", JSON),
    "csv": (TABLE.encode(), CSV),
    "csv, charset": (TABLE.encode(), "text/csv; charset=utf-8"),
    "csv, byte-order mark": (b"\xef\xbb\xbf" + TABLE.encode(), CSV),
    "csv, blank lines": (TABLE.replace("\n", "\r\n\r\n").encode(), CSV),
    "csv, index column": (TABLE.replace("sex", ",sex").replace("\nfemale", "\n0,female").replace("\nmale", "\n1,male")
                          .encode(), CSV),
    "csv, header alone": (TABLE.partition("\n")[0].encode(), CSV),
    "csv, no header": (TABLE.partition("\n")[2].encode(), CSV),
    "csv, semicolons": (TABLE.replace(",", ";").encode(), CSV),
    "csv, column missing": (b"sex,age\nmale,3\n", CSV),
    "csv, no number": (TABLE.replace("29.0", "old").encode(), CSV),
    "csv, NA": (TABLE.replace("29.0", "NA").encode(), CSV),
    "csv, other word": (TABLE.replace("female", "woman").encode(), CSV),
    "csv, no text": (b"\xff\xfe", CSV),
    "csv, nothing": (b"", CSV),
    "xml": (b"<row/>", "text/xml"),
    "latin-1": (TABLE.encode("latin-1"), "text/csv; charset=latin-1"),
    "format=pandas": (json.dumps(records()).encode(), "application/json; format=pandas-split"),
    "other columns": (records(name="Allen"), JSON),
    "required column missing": (without("sex"), JSON),
    "optional column missing": (without("age", "port", "parents_children"), JSON),
    "required value missing": ({"dataframe_records": [ROW, *without("sex")["dataframe_records"]]}, JSON),
    **{f"age {value!r}": (records(age=value), JSON) for value in (None, 3, 3.5, "3", "x", True, -1, 1e39, [3], {})},
    "age NaN": (json.dumps(records(age=float("nan"))).encode(), JSON),
    **{f"sex {value!r}": (records(sex=value), JSON) for value in ("man", "", None, 1, True, ["male"])},
    **{f"port {value!r}": (records(port=value), JSON) for value in (None, "", "NA", "x", 3)},
    **{
        f"siblings {value!r}": (records(siblings_spouses=value), JSON)
        for value in (1.0, "1", True, None, -1, 99, 10**30)
    },
}  # fmt: skip

#: Where they differ, on purpose: what MLflow's server answers, what this service answers, and why.
DIFFERENT: dict[str, tuple[Any, str, int, int, str]] = {
    "lists": ({"instances": LISTS}, JSON, 400, 200, "the order of the columns is known"),
    "fraction": (records(siblings_spouses=1.5), JSON, 200, 400, "there it becomes 1 in silence"),
    "long line": (TABLE.replace("\nmale,", "\n3,male,").encode(), CSV, 400, 400, "there columns are shifted"),
    "default": ({"dataframe_records": [ROW, *without("parents_children")["dataframe_records"]]}, JSON, 400, 200,
                "the field has a default"),
    "empty number": (records(age=""), JSON, 400, 200, "a text that means missing in a file means it here too"),
    "missing number": (records(age="NA"), JSON, 400, 200, "a text that means missing in a file means it here too"),
    "csv, true": (TABLE.replace("29.0", "True").encode(), CSV, 200, 400, "there it becomes 1"),
    "csv, two of a name": (b"age," + TABLE.replace("\nfemale", "\n3,female").replace("\nmale", "\n3,male").encode(),
                           CSV, 200, 400, "there one of them is ignored"),
    "no content type": (b"{}", "", 500, 415, "no request makes a 500"),
    "capitals": (json.dumps(records()).encode(), "Application/JSON", 415, 200, "media types have no case"),
}  # fmt: skip


@pytest.fixture(scope="module")
def deployed(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a copy of the default project, trained and deployed."""
    copied = project.variant(tmp_path_factory.mktemp("protocols") / "copy", "diabetes")
    for folder in ("data", f"{project.package}/model"):
        source, target = project.path / folder, copied.path / folder
        target.mkdir(exist_ok=True)
        for file in source.glob("*.*"):
            (target / file.name).write_bytes(file.read_bytes())
    copied.make("train")
    copied.make("deploy")
    yield copied
    copied.make("undeploy")


@pytest.fixture(scope="module")
def mlflow_server(deployed: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of `mlflow models serve` over the same version."""
    port, folder = free_port(), tmp_path_factory.mktemp("mlflow")
    env = deployed.env | {"MLFLOW_TRACKING_URI": f"sqlite:///{deployed.path}/mlflow.db"}
    env["PATH"] = f"{deployed.path}/.venv/bin:{env['PATH']}"
    command = [str(deployed.path / ".venv/bin/python"), "-m", "mlflow", "models", "serve", "-m", f"models:/{MODEL}/1"]
    command += ["--env-manager", "local", "--port", str(port), "--workers", "1"]
    url = f"http://127.0.0.1:{port}"
    with running(command, f"{url}/ping", folder, env):
        yield url


def ask(url: str, body: Any, kind: str) -> requests.Response:
    """Send a request for predictions."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(f"{url}/invocations", data, headers={"Content-Type": kind} if kind else {}, timeout=30)


@pytest.mark.parametrize(("body", "kind"), SAME.values(), ids=list(SAME))
def test_answers_are_those_of_mlflow_models_serve(deployed: Project, mlflow_server: str, body: Any, kind: str) -> None:
    theirs, ours = ask(mlflow_server, body, kind), ask(deployed.url, body, kind)
    assert ours.status_code == theirs.status_code, (theirs.text, ours.text)
    assert ours.headers["Content-Type"] == theirs.headers["Content-Type"]
    if theirs.status_code == 200:
        # Columns that the schema does not know, or misses, are named beside the predictions.
        assert {name: value for name, value in ours.json().items() if name != "warnings"} == theirs.json()
    elif theirs.status_code == 400:
        assert ours.json()["error_code"] == theirs.json()["error_code"]
        assert ours.json()["message"]


@pytest.mark.parametrize(("body", "kind", "theirs", "ours", "why"), DIFFERENT.values(), ids=list(DIFFERENT))
def test_answers_differ_where_the_documentation_says_so(
    deployed: Project, mlflow_server: str, body: Any, kind: str, theirs: int, ours: int, why: str
) -> None:
    assert (ask(mlflow_server, body, kind).status_code, ask(deployed.url, body, kind).status_code) == (theirs, ours), (
        why
    )


@pytest.mark.parametrize("path", ["ping", "health", "version"])
def test_health_is_that_of_mlflow_models_serve(deployed: Project, mlflow_server: str, path: str) -> None:
    theirs, ours = (requests.get(f"{url}/{path}", timeout=30) for url in (mlflow_server, deployed.url))
    assert (ours.status_code, ours.text, ours.headers["Content-Type"]) == (
        theirs.status_code,
        theirs.text,
        theirs.headers["Content-Type"],
    )
    for url in (mlflow_server, deployed.url):
        assert requests.get(f"{url}/invocations", timeout=30).status_code == 405
    # There without a reason; a check of health may use it.
    heads = [requests.head(f"{url}/{path}", timeout=30).status_code for url in (mlflow_server, deployed.url)]
    assert heads == [405, 200]


def tensor(name: str, values: list[Any], kind: str, *, binary: bool = False) -> triton.InferInput:
    """Return a tensor as Triton's client makes it."""
    put = triton.InferInput(name, [len(values)], kind)
    types = {"BYTES": np.object_, "FP32": np.float32, "INT64": np.int64}
    put.set_data_from_numpy(np.array(values, dtype=types[kind]), binary_data=binary)
    return put


def test_triton_client_works_over_the_open_inference_protocol(deployed: Project) -> None:
    client = triton.InferenceServerClient(deployed.url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "champion")
    assert not client.is_model_ready("other")

    metadata = client.get_model_metadata(MODEL)
    kinds = {put["name"]: put["datatype"] for put in metadata["inputs"]}
    missing = {"BYTES": "", "FP32": np.nan, "INT64": 0}
    inputs = [
        tensor(name, [missing[kind] if row[name] is None else row[name] for row in ROWS], kind)
        for name, kind in kinds.items()
    ]
    found = client.infer(MODEL, inputs, request_id="mine")
    assert found.get_response()["id"] == "mine"
    assert found.get_response()["model_version"] == "1"
    expected = requests.post(f"{deployed.url}/predict", json=ROWS, timeout=30).json()
    assert found.as_numpy("survived").tolist() == [row["survived"] for row in expected]
    assert found.as_numpy("probability").dtype == np.float32
    assert found.as_numpy("probability").tolist() == [np.float32(row["probability"]) for row in expected]

    asked = [triton.InferRequestedOutput("probability", binary_data=False)]
    chosen = client.infer(MODEL, inputs, model_version="1", outputs=asked)
    assert [output["name"] for output in chosen.get_response()["outputs"]] == ["probability"]

    with pytest.raises(InferenceServerException, match="'sex'"):
        client.infer(MODEL, [put for put in inputs if put.name() != "sex"])
    with pytest.raises(InferenceServerException, match="is not served"):
        client.infer(MODEL, inputs, model_version="9")

    # As the client sends and asks for tensors where nothing else is said.
    binary = [
        tensor(name, [missing[kind] if row[name] is None else row[name] for row in ROWS], kind, binary=True)
        for name, kind in kinds.items()
    ]
    assert client.infer(MODEL, binary).as_numpy("probability").tolist() == found.as_numpy("probability").tolist()


def test_log_has_no_traceback(deployed: Project) -> None:
    logs = [path.read_text() for path in Path(deployed.path / "store").glob("*.log")]
    assert logs
    assert not any("Traceback" in log for log in logs)
