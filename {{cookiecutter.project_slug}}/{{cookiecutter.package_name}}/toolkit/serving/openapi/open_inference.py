"""The Open Inference Protocol, as far as JSON Schema can say it: not that the data of a tensor fits its shape."""

from __future__ import annotations

from typing import Any

from ...contract.schema import Contract, FieldSpec
from ..protocols.open_inference import PLATFORMS, request
from ..protocols.tensors import ACCEPTED_DATATYPES, datatype
from .operations import ANY, JSON, DocumentedVersion, Subject, answer, keyed, operation
from .schemas import COUNT, TEXT, Schema, given, one_of, record, ref, said, several

TAG = "Open Inference Protocol v2"
MODEL = "/v2/models/{model}"

SHAPE = several({"type": "integer", "minimum": -1})
TENSOR = record({"name": TEXT, "datatype": TEXT, "shape": SHAPE | {"description": "-1 is the number of rows"}})
TRUE: Schema = {"const": True}
COMMON: dict[str, Schema] = {
    "Server": record({"name": TEXT, "version": TEXT, "extensions": several(TEXT)}),
    "Metadata": record(
        {
            "name": TEXT,
            "versions": several(TEXT),
            "platform": one_of(PLATFORMS.values()),
            "inputs": several(TENSOR),
            "outputs": several(TENSOR),
        }
    ),
}


def of_version(contract: Contract, suffix: str, limit: int) -> dict[str, Schema]:
    """Return what is sent to a version and what it answers, under names that end in a suffix."""
    tensors = [tensor for column in contract.row for tensor in _inputs(column, limit)]
    inputs = several({"anyOf": tensors}) | {"allOf": [_once(column) for column in contract.row]}
    inputs |= {"description": "a tensor for each field, all with as many rows; those with a default may be missing"}
    wanted = several(record({"name": one_of(column.name for column in contract.prediction)}))
    asked = {"id": TEXT, "inputs": inputs, "outputs": wanted | {"type": ["array", "null"]}}
    found = several({"anyOf": [_output(column, contract) for column in contract.prediction]})
    return {
        f"InferenceRequest{suffix}": record(asked, "id", "outputs"),
        f"InferenceResponse{suffix}": record(
            {"model_name": TEXT, "model_version": TEXT, "id": TEXT, "outputs": found}, "id"
        ),
    }


def _once(column: FieldSpec) -> Schema:
    """Return what says that a field has its tensor, and no second one."""
    own = {"type": "object", "properties": {"name": {"const": column.name}}, "required": ["name"]}
    return {"contains": own, "minContains": int(column.required), "maxContains": 1}


def _inputs(column: FieldSpec, limit: int) -> list[Schema]:
    """Return the tensors that are taken for a field."""
    taken, value = ACCEPTED_DATATYPES[column.kind], given(column)
    sizes: list[Schema] = [COUNT]
    if column.length is not None:
        sizes, value, limit = [COUNT, {"const": column.length}], value["items"], limit * column.length
    shape = {"type": "array", "prefixItems": sizes, "minItems": len(sizes), "maxItems": len(sizes)}
    values = [(taken, value)]
    if column.kind == "bool":
        bits = {"enum": [0, 1, None] if column.nullable else [0, 1]}
        values = [(taken & {"BOOL"}, value), (taken - {"BOOL"}, bits)]
    return [_tensor(column, sorted(datatypes), shape, several(value, limit)) for datatypes, value in values]


def _output(column: FieldSpec, contract: Contract) -> Schema:
    value = said(column, contract)
    data = several(value if column.length is None else value["items"])
    return _tensor(column, [datatype(column)], several(COUNT), data)


def _tensor(column: FieldSpec, datatypes: list[str], shape: Schema, data: Schema) -> Schema:
    return record({"name": {"const": column.name}, "datatype": one_of(datatypes), "shape": shape, "data": data})


def paths(subject: Subject) -> dict[str, Any]:
    """Return the operations, by path and method."""
    unready, missing = subject.refusals(503), subject.refusals(404, 503)
    ready, one = record({"name": TEXT, "ready": TRUE}), "one version, by number or alias"
    found = {
        "/v2": _get("server", "Name and version of the server", ref("Server"), unready),
        "/v2/health/live": _get("live", "Whether the server runs", record({"live": TRUE}), {}),
        "/v2/health/ready": _get("ready", "Whether a version is loaded", record({"ready": TRUE}), unready),
        MODEL: _get("metadata", "Inputs and outputs of the champion", ref("Metadata"), missing),
        f"{MODEL}/ready": _get("model_ready", "Whether the model is served", ready, missing),
        f"{MODEL}/infer": {"post": keyed(_infer("infer", "the champion", subject, subject.champion))},
        f"{MODEL}/versions/{ANY}": _get("metadata_version", f"Inputs and outputs of {one}", ref("Metadata"), missing),
        f"{MODEL}/versions/{ANY}/ready": _get("model_ready_version", "Whether a version is served", ready, missing),
    }
    for version in subject.versions:
        post = _infer(version.name("infer"), one, subject, version)
        found[f"{MODEL}/versions/{version.reference}/infer"] = {"post": post}
    return found


def _get(name: str, summary: str, content: Schema, refusals: dict[str, Any]) -> dict[str, Any]:
    return {"get": operation(name, summary, TAG, {"200": answer("the answer", content)} | refusals)}


def _infer(name: str, words: str, subject: Subject, version: DocumentedVersion) -> dict[str, Any]:
    example = request(subject.rows(version), version.served.artifact.contract)
    body = {JSON: {"schema": version.ref("InferenceRequest"), "example": example}}
    answers = {"200": answer("one tensor for each field", version.ref("InferenceResponse"))}
    answers |= subject.refusals(400, 404, 413, 429, 500, 503)
    return operation(name, f"Score tensors with {words}", TAG, answers, body)
