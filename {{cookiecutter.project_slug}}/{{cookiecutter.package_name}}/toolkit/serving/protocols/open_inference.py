"""The Open Inference Protocol, version 2 (REST): what KServe, Triton and their clients speak.

A field is a tensor of shape [n] (or [n, 1]), a vector one of shape [n, length], a matrix one of [n, rows, columns]; a
dict of probabilities is one of shape [n, classes], whose parameter `names` has the order of its keys. Dates and times
are texts in ISO 8601. A missing value is null in `data`, or NaN among numbers, or one of `MISSING_TEXTS`, such as "",
among texts; a vector is missing where all of its numbers are. Fields that have a default may be left out.
Nullable int and bool fields are FP32, the only datatype among these that has a NaN. Of the extensions there are binary
tensors (`binary_tensors.py`), and the index of the model repository.
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...common.errors import RejectedError
from ...common.names import CHAMPION
from ...contract import column_names
from ...contract.columns import Columns
from ...contract.json_rows import InvalidRowsError, RowParser
from ...contract.schema import Contract, FieldSpec
from ...live.live_release import LiveRelease, LiveVersion
from ..asgi import json_response
from ..errors import message_json
from ..limits import check_row_count
from . import binary_tensors
from .codec import load
from .error_text import error_line, quote
from .tensors import array_data, column_values, datatype, dimensions, flat

#: The specification lists the names, and has none for a pickled model.
PLATFORMS = {"onnx": "onnx_onnxv1", "python": ""}
#: The header with the size of the JSON before binary tensors.
JSON_BYTES_HEADER = b"inference-header-content-length"


class OpenInferenceCodec:
    """Decodes and encodes tensors; made for one request, whose id and outputs it keeps for the answer."""

    def __init__(self, model: str, json_bytes: str = "") -> None:
        self._model, self._json_bytes = model, json_bytes
        self._id: str | None = None
        self._outputs: Any = None
        self._binary_output = False
        #: The size of the JSON in an answer with binary tensors, 0 in one without.
        self.answer_json_bytes = 0

    def decode(self, body: bytes, parser: RowParser, limit: int) -> tuple[int, Columns]:
        """Return the number of rows in a body, and their columns."""
        body, binary = binary_tensors.split(body, self._json_bytes)
        try:
            content = load(body, parser, limit)
        except ValueError as error:
            raise RejectedError(400, f"the body must be valid JSON: {error}") from None
        if not isinstance(content, dict) or not isinstance(content.get("inputs"), list):
            raise RejectedError(400, "the body must be a JSON object with a list of tensors as 'inputs'")
        if not isinstance(content.get("id"), str | None):
            raise RejectedError(400, "'id' must be text")
        binary_tensors.fill(content["inputs"], binary, parser.contract, limit)
        self._binary_output = _parameter(content, "binary_data_output", default=False)
        self._id = content.get("id")
        self._outputs = content.get("outputs")
        _output_fields(self._outputs, parser.contract)
        columns = _values(content["inputs"], parser.contract)
        rows = len(next(iter(columns.values())))
        check_row_count(rows, limit)
        names = list(columns)
        return parser.parse_dicts([dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)])

    def encode(self, predictions: Columns, ids: list[str], version: LiveVersion) -> bytes:
        """Return the predictions, one tensor a field."""
        outputs, parts = [], []
        fields = _output_fields(self._outputs, version.artifact.contract)
        for place, field in enumerate(fields):
            wanted = self._outputs[place] if self._outputs else None
            tensor = _tensor(field, len(ids))
            if _parameter(wanted, "binary_data", default=self._binary_output):
                parts.append(binary_tensors.encode(predictions[field.name], datatype(field)) if ids else b"")
                tensor["parameters"] = tensor.get("parameters", {}) | {"binary_data_size": len(parts[-1])}
            else:
                tensor["data"] = array_data(predictions[field.name]) if ids else []
            outputs.append(tensor)
        content: dict[str, Any] = {"model_name": self._model, "model_version": str(version.number)}
        content |= {} if self._id is None else {"id": self._id}
        answer = orjson.dumps(content | {"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
        self.answer_json_bytes = len(answer) if parts else 0
        return b"".join((answer, *parts))

    def encode_error(self, error: RejectedError | InvalidRowsError) -> bytes:
        """Return the error."""
        return message_json(error_line(error))


def check_name(live: LiveRelease, model: str) -> None:
    """Raise `RejectedError` (404) for the name of another model."""
    release = live.snapshot.release
    if model != release.model:
        raise RejectedError(404, f"model {model!r} is not served; there is {release.model!r}")


def routes(live: LiveRelease, title: str) -> list[Route]:
    """Return the routes beside `infer`."""

    async def server(request: Request) -> Response:
        return json_response(
            {"name": title, "version": str(live.snapshot.release.champion), "extensions": ["binary_tensor_data"]}
        )

    async def is_live(request: Request) -> Response:
        return json_response({"live": True})

    async def is_ready(request: Request) -> Response:
        live.snapshot.find(CHAMPION)  # 503 before a release is loaded
        return json_response({"ready": True})

    async def metadata(request: Request) -> Response:
        version = find(request)
        contract, runtime = version.artifact.contract, version.artifact.runtime.name
        return json_response(
            {
                "name": request.path_params["model"],
                "versions": [str(number) for number in live.snapshot.versions],
                "platform": PLATFORMS[runtime],
                "inputs": [_tensor(field, -1) for field in contract.row],
                "outputs": [_tensor(field, -1) for field in contract.prediction],
            }
        )

    async def is_model_ready(request: Request) -> Response:
        find(request)
        return json_response({"name": request.path_params["model"], "ready": True})

    async def index(request: Request) -> Response:
        release, versions = live.snapshot
        ready = {"state": "READY", "reason": ""}
        return json_response([{"name": release.model, "version": str(number)} | ready for number in versions])

    def find(request: Request) -> LiveVersion:
        check_name(live, request.path_params["model"])
        return live.snapshot.find(request.path_params.get("version", CHAMPION))

    model = "/v2/models/{model}"
    return [
        Route("/v2", server),
        Route("/v2/repository/index", index, methods=["POST"]),
        Route("/v2/health/live", is_live),
        Route("/v2/health/ready", is_ready),
        Route(model, metadata),
        Route(f"{model}/ready", is_model_ready),
        Route(f"{model}/versions/{{version}}", metadata),
        Route(f"{model}/versions/{{version}}/ready", is_model_ready),
    ]


def request(rows: list[dict[str, Any]], contract: Contract) -> dict[str, Any]:
    """Return a request for the predictions of rows."""
    inputs = []
    for field in contract.row:
        if field.length is None:
            data = [row.get(field.name, field.default) for row in rows]
        else:
            missing = [None] * field.length
            values = [row.get(field.name, field.default) for row in rows]
            data = flat([missing if value is None else value for value in values]) or []
        inputs.append(_tensor(field, len(rows)) | {"data": data})
    return {"inputs": inputs}


def _tensor(field: FieldSpec, rows: int) -> dict[str, Any]:
    names = {"parameters": {"names": list(field.names)}} if field.names else {}
    return {"name": field.name, "datatype": datatype(field), "shape": [rows, *dimensions(field)]} | names


def _parameter(holder: Any, name: str, *, default: bool) -> bool:
    """Return a parameter of a request, or of one of the outputs that it names."""
    parameters = holder.get("parameters") if isinstance(holder, dict) else None
    value = parameters.get(name) if isinstance(parameters, dict) else None
    return value if isinstance(value, bool) else default


def _output_fields(outputs: Any, contract: Contract) -> tuple[FieldSpec, ...]:
    """Return the fields that a request asks for, all of them if it names none."""
    if outputs is None or outputs == []:
        return contract.prediction
    by_name: dict[Any, FieldSpec] = {field.name: field for field in contract.prediction}
    if not isinstance(outputs, list):
        raise RejectedError(400, "'outputs' must be a list of objects with a 'name'")
    names: list[Any] = [output.get("name") if isinstance(output, dict) else output for output in outputs]
    for name in names:
        if not isinstance(name, str) or name not in by_name:
            raise RejectedError(400, f"output {quote(name)} does not exist; the outputs are {', '.join(by_name)}")
    return tuple(by_name[name] for name in names)


def _values(tensors: list[Any], contract: Contract) -> dict[str, list[Any]]:
    """Return the values of each input, one a row."""
    columns: dict[str, list[Any]] = {}
    for tensor in tensors:
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str) or name not in contract.by_name:
            near = column_names.nearest(name, contract.row) if isinstance(name, str) else ""
            guess = f" (did you mean {near!r}?)" if near else ""
            names = ", ".join(contract.by_name)
            raise RejectedError(400, f"input {quote(name)} does not exist{guess}; the inputs are {names}")
        if name in columns:
            raise RejectedError(400, f"input {name!r} is given twice")
        columns[name] = column_values(tensor, contract.by_name[name])
    missing = [field.name for field in contract.row if field.required and field.name not in columns]
    if missing or not columns:
        raise RejectedError(400, f"the inputs {', '.join(map(repr, missing or contract.by_name))} are missing")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise RejectedError(400, f"the inputs have different numbers of rows: {lengths}")
    return columns
