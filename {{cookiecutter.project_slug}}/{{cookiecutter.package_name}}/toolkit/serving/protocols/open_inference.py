"""The Open Inference Protocol, version 2 (REST): what KServe, Triton and their clients speak.

A field is a tensor: of shape [n] (or [n, 1]), a vector of shape [n, length]. What may be missing is null in `data`, NaN
among numbers, "" among words; fields that have a default may be left out. Whole numbers and truth values that may be
missing are FP32, the only type of these that can say so. Extensions, such as binary tensors, are not spoken.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...common.errors import RejectedError
from ...contract.columns import Columns
from ...contract.json_rows import InvalidRowsError, RowParser
from ...contract.schema import Contract, FieldSpec
from ..live_release import LiveVersion
from ..scoring import Scoring, check_size, refusal
from . import sentence, shown
from .tensors import array_data, column_values, datatype

PLATFORMS = {"onnx": "onnx_onnxv1", "python": "python_pickle"}
INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")


class Inference:
    """One request; what it asks for is known once its body is read."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._id: str | None = None
        self._outputs: Any = None

    def read(self, body: bytes, parser: RowParser, limit: int) -> tuple[int, Columns]:
        """Return the number of rows in a body, and their columns."""
        try:
            content = from_json(body)
        except ValueError as error:
            raise RejectedError(
                400, f"the body must be valid JSON; binary tensors are not supported: {error}"
            ) from None
        if not isinstance(content, dict) or not isinstance(content.get("inputs"), list):
            raise RejectedError(400, "the body must be a JSON object with a list of tensors as 'inputs'")
        if not isinstance(content.get("id", ""), str):
            raise RejectedError(400, "'id' must be text")
        self._id = content.get("id")
        self._outputs = content.get("outputs")
        _selected(self._outputs, parser.contract)
        columns = _values(content["inputs"], parser.contract)
        rows = len(next(iter(columns.values())))
        check_size(rows, limit)
        names = list(columns)
        return parser.take([dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)])

    def write(self, predictions: Columns, ids: list[str], served: LiveVersion) -> bytes:
        """Return the predictions, one tensor a field."""
        outputs = [
            _tensor(column, len(ids)) | {"data": array_data(predictions[column.name]) if ids else []}
            for column in _selected(self._outputs, served.artifact.contract)
        ]
        content: dict[str, Any] = {"model_name": self._model, "model_version": str(served.number)}
        content |= {} if self._id is None else {"id": self._id}
        return orjson.dumps(content | {"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)

    def refuse(self, error: RejectedError | InvalidRowsError) -> bytes:
        """Return what is wrong."""
        return refusal(sentence(error))


def addressed(path: str) -> tuple[str, str | None]:
    """Return the model and, if there is one, the version in the path of an `infer` request."""
    found = INFER.fullmatch(path)
    assert found
    return found[1], found[2]


def check_name(scoring: Scoring, model: str) -> None:
    """Refuse the name of another model."""
    release = scoring.release
    if release is None:
        raise RejectedError(503, "no version is loaded yet")
    if model != release.model:
        raise RejectedError(404, f"model {model!r} is not served; there is {release.model!r}")


def routes(scoring: Scoring, title: str) -> list[Route]:
    """Return the routes beside `infer`."""

    async def server(request: Request) -> Response:
        return _json({"name": title, "version": str(scoring.find("champion").number), "extensions": []})

    async def live(request: Request) -> Response:
        return _json({"live": True})

    async def ready(request: Request) -> Response:
        scoring.find()
        return _json({"ready": True})

    async def metadata(request: Request) -> Response:
        served = asked(request)
        contract, runtime = served.artifact.contract, served.artifact.runtime.name
        return _json(
            {
                "name": request.path_params["model"],
                "versions": [str(number) for number in scoring.versions],
                "platform": PLATFORMS[runtime],
                "inputs": [_tensor(column, -1) for column in contract.row],
                "outputs": [_tensor(column, -1) for column in contract.prediction],
            }
        )

    async def model_ready(request: Request) -> Response:
        asked(request)
        return _json({"name": request.path_params["model"], "ready": True})

    def asked(request: Request) -> LiveVersion:
        check_name(scoring, request.path_params["model"])
        return scoring.find(request.path_params.get("version", "champion"))

    model = "/v2/models/{model}"
    return [
        Route("/v2", server),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        Route(model, metadata),
        Route(f"{model}/ready", model_ready),
        Route(f"{model}/versions/{{version}}", metadata),
        Route(f"{model}/versions/{{version}}/ready", model_ready),
    ]


def request(rows: list[dict[str, Any]], contract: Contract) -> dict[str, Any]:
    """Return a request for the predictions of rows."""
    inputs = []
    for column in contract.row:
        if column.length is None:
            data = [row.get(column.name, column.default) for row in rows]
        else:
            data = [part for row in rows for part in row[column.name]]
        inputs.append(_tensor(column, len(rows)) | {"data": data})
    return {"inputs": inputs}


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _tensor(column: FieldSpec, rows: int) -> dict[str, Any]:
    shape = [rows] if column.length is None else [rows, column.length]
    return {"name": column.name, "datatype": datatype(column), "shape": shape}


def _selected(outputs: Any, contract: Contract) -> tuple[FieldSpec, ...]:
    """Return the fields that a request asks for, all of them if it names none."""
    if outputs is None or outputs == []:
        return contract.prediction
    by_name: dict[Any, FieldSpec] = {column.name: column for column in contract.prediction}
    if not isinstance(outputs, list):
        raise RejectedError(400, "'outputs' must be a list of objects with a 'name'")
    names: list[Any] = [output.get("name") if isinstance(output, dict) else output for output in outputs]
    for name in names:
        if not isinstance(name, str) or name not in by_name:
            raise RejectedError(400, f"output {shown(name)} does not exist; the outputs are {', '.join(by_name)}")
    return tuple(by_name[name] for name in names)


def _values(tensors: list[Any], contract: Contract) -> dict[str, list[Any]]:
    """Return one value a row for each tensor."""
    columns: dict[str, list[Any]] = {}
    for tensor in tensors:
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str) or name not in contract.by_name:
            raise RejectedError(
                400, f"input {shown(name)} does not exist; the inputs are {', '.join(contract.by_name)}"
            )
        if name in columns:
            raise RejectedError(400, f"input {name!r} stands there twice")
        columns[name] = column_values(tensor, contract.by_name[name])
    missing = [column.name for column in contract.row if column.required and column.name not in columns]
    if missing or not columns:
        raise RejectedError(400, f"the inputs {', '.join(map(repr, missing or contract.by_name))} are missing")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise RejectedError(400, f"the inputs have different numbers of rows: {lengths}")
    return columns
