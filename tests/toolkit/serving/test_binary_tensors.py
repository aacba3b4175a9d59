"""Binary tensors of the Open Inference Protocol, as Triton's clients send them."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.serving.app import Routes, ScoringMiddleware
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.protocols import open_inference
from titanic_survival.toolkit.serving.scoring import Scorer

MAX_ROWS = 150
DTYPES = {"BOOL": "?", "FP32": "<f4", "INT64": "<i8"}
HEADER = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def client(served: Path) -> TestClient:
    live = LiveRelease(served)
    live.load()
    feedback = LogFile(served.parent / "log", "feedback", 0)
    routes = Routes(Scorer(live, Limits(MAX_ROWS, 1_000_000)), feedback, title="", description="")
    return TestClient(ScoringMiddleware(routes, routes), raise_server_exceptions=False)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def path(client: TestClient) -> str:
    return f"/v2/models/{client.get('/model').json()['model']}/infer"


def packed(texts: list[Any]) -> bytes:
    parts = [(text or "").encode() for text in texts]
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def in_bytes(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return a request without data, and the data as bytes."""
    inputs, parts = [], []
    for tensor in request["inputs"]:
        data, kind = tensor["data"], tensor["datatype"]
        if kind == "BYTES":
            parts.append(packed(data))
        else:
            parts.append(np.array([np.nan if value is None else value for value in data], DTYPES[kind]).tobytes())
        plain = {name: value for name, value in tensor.items() if name != "data"}
        inputs.append(plain | {"parameters": {"binary_data_size": len(parts[-1])}})
    return {"inputs": inputs}, b"".join(parts)


def post(client: TestClient, path: str, content: dict[str, Any], binary: bytes) -> Any:
    text = json.dumps(content).encode()
    headers = {"content-type": "application/octet-stream", HEADER: str(len(text))}
    return client.post(path, content=text + binary, headers=headers)


def test_binary_inputs_are_predicted_as_those_in_json(
    client: TestClient, path: str, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    request = open_inference.request(rows, contract)
    answer = post(client, path, *in_bytes(request))
    assert answer.status_code == 200, answer.text
    assert answer.json() == client.post(path, json=request).json()


@pytest.mark.parametrize("each", [False, True])
def test_binary_outputs_have_the_values_of_those_in_json(
    client: TestClient, path: str, contract: Contract, rows: list[dict[str, Any]], each: bool
) -> None:
    request = open_inference.request(rows, contract)
    plain = client.post(path, json=request).json()["outputs"]
    wanted: dict[str, Any] = {"parameters": {"binary_data_output": True}}
    if each:
        names = [field.name for field in contract.prediction]
        wanted = {"outputs": [{"name": name, "parameters": {"binary_data": True}} for name in names]}
    answer = client.post(path, json=request | wanted)
    assert answer.headers["content-type"] == "application/octet-stream"
    size = int(answer.headers[HEADER])
    content, binary = json.loads(answer.content[:size]), answer.content[size:]
    for tensor, expected in zip(content["outputs"], plain, strict=True):
        length = tensor["parameters"]["binary_data_size"]
        part, binary = binary[:length], binary[length:]
        if tensor["datatype"] == "BYTES":
            assert part == packed(expected["data"])
        else:
            dtype = DTYPES[tensor["datatype"]]
            assert part == np.array(expected["data"], dtype).tobytes()
    assert binary == b""


def test_a_binary_part_that_does_not_fit_is_the_callers_mistake(
    client: TestClient, path: str, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    content, binary = in_bytes(open_inference.request(rows, contract))
    sizes = [tensor["parameters"]["binary_data_size"] for tensor in content["inputs"]]
    for size in (-1, 10**9, "1", 1.5, True, sizes[0] - 1):
        first = content["inputs"][0] | {"parameters": {"binary_data_size": size}}
        answer = post(client, path, {"inputs": [first, *content["inputs"][1:]]}, binary)
        assert answer.status_code == 400, size
    assert post(client, path, content, binary + b"more").status_code == 400
    assert post(client, path, content, binary[:-1]).status_code == 400
    both = content["inputs"][0] | {"data": []}
    assert post(client, path, {"inputs": [both, *content["inputs"][1:]]}, binary).status_code == 400
    for header in ("-1", "x", "10000000", "\u00b2".encode("utf-8").decode("latin-1")):
        answer = client.post(path, content=b"{}", headers=[(HEADER.encode(), header.encode("latin-1"))])
        assert answer.status_code == 400, header


def test_rows_in_bytes_are_counted_before_they_are_made(client: TestClient, path: str, contract: Contract) -> None:
    count = 200_000
    tensors = [
        {"name": field.name, "datatype": kind, "shape": [count], "parameters": {"binary_data_size": 4 * count}}
        for field in contract.row[:1]
        for kind in ("BYTES", "FP32")
    ]
    for tensor in tensors:
        assert post(client, path, {"inputs": [tensor]}, bytes(4 * count)).status_code == 413
