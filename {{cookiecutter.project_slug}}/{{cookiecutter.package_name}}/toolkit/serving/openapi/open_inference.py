"""The Open Inference Protocol, as far as JSON Schema can describe it: not that a tensor's data has its shape."""

from __future__ import annotations

from typing import Any

from ...contract.schema import Contract, FieldSpec
from ..protocols.open_inference import PLATFORMS, request
from ..protocols.tensors import RANGES, accepted_datatypes, datatype, dimensions
from .documented_release import (
    BY_TRAFFIC,
    ONE_VERSION,
    THE_CHAMPION,
    VERSION_PARAMETER,
    DocumentedRelease,
    DocumentedVersion,
)
from .fields import input_schema, output_schema
from .json_schema import (
    ALWAYS_TRUE,
    INTEGER_FROM_0,
    STRING,
    Schema,
    array_of,
    nullable,
    object_of,
    ref,
    string_enum,
    tuple_of,
)
from .operations import JSON_TYPE, operation, response, with_key

#: JSON, then binary tensors, which no schema describes.
BINARY_TYPE = "application/octet-stream"
TAG = "Open Inference Protocol v2"
MODEL_PATH = "/v2/models/{model}"
INPUTS_DESCRIPTION = (
    "one tensor per field, all with the same number of rows; fields with a default may be omitted; "
    "numbers may have any datatype that holds them"
)

TENSOR_METADATA = object_of(
    {
        "name": STRING,
        "datatype": STRING,
        "shape": array_of({"type": "integer", "minimum": -1}) | {"description": "-1 is the number of rows"},
    }
)
SHARED_SCHEMAS: dict[str, Schema] = {
    "ServerMetadata": object_of({"name": STRING, "version": STRING, "extensions": array_of(STRING)}),
    "ModelMetadata": object_of(
        {
            "name": STRING,
            "versions": array_of(STRING),
            "platform": string_enum(PLATFORMS.values()),
            "inputs": array_of(TENSOR_METADATA),
            "outputs": array_of(TENSOR_METADATA),
        }
    ),
}


def contract_schemas(contract: Contract, suffix: str, max_rows: int) -> dict[str, Schema]:
    """Return the schemas of requests and responses; their names end in the suffix."""
    tensors = [tensor for field in contract.row for tensor in _input_tensors(field, max_rows)]
    inputs = array_of({"anyOf": tensors}) | {"allOf": [_exactly_one_tensor(field) for field in contract.row]}
    inputs |= {"description": INPUTS_DESCRIPTION}
    wanted = array_of(object_of({"name": string_enum(field.name for field in contract.prediction)}))
    properties = {"id": nullable(STRING), "inputs": inputs, "outputs": nullable(wanted)}
    outputs = array_of({"anyOf": [_output_tensor(field, contract) for field in contract.prediction]})
    return {
        f"InferenceRequest{suffix}": object_of(properties, "id", "outputs"),
        f"InferenceResponse{suffix}": object_of(
            {"model_name": STRING, "model_version": STRING, "id": STRING, "outputs": outputs}, "id"
        ),
    }


def _exactly_one_tensor(field: FieldSpec) -> Schema:
    """Return what an array of tensors must contain: one for the field, or at most one if it has a default."""
    tensor = {"type": "object", "properties": {"name": {"const": field.name}}, "required": ["name"]}
    return {"contains": tensor, "minContains": int(field.required), "maxContains": 1}


def _input_tensors(field: FieldSpec, max_rows: int) -> list[Schema]:
    """Return the tensors that are accepted for a field."""
    accepted, value = accepted_datatypes(field), _element(input_schema(field), field)
    shape: list[Schema] = [INTEGER_FROM_0, *({"const": size} for size in dimensions(field))]
    size = max_rows * (field.length or 1)
    # Of the datatypes that hold fewer numbers than JSON, the field's own stands for all.
    own, values = datatype(field), [(accepted - RANGES.keys(), value)]
    if own in RANGES:
        values.append((frozenset({own}), {"allOf": [value, _range(own)]}))
    if field.kind == "bool":
        bits = {"enum": [0, 1, None] if field.nullable else [0, 1]}
        values = [(accepted & {"BOOL"}, value), (accepted - {"BOOL"}, bits)]
    return [_tensor(field, sorted(datatypes), tuple_of(shape), array_of(value, size)) for datatypes, value in values]


def _element(schema: Schema, field: FieldSpec) -> Schema:
    """Return the schema of the numbers in a vector or matrix, that of any other field as it is."""
    for _ in range(field.depth):
        schema = schema["items"]
    return nullable(schema) if field.nullable and field.depth else schema


def _range(kind: str) -> Schema:
    """Return the numbers of a datatype; a missing value is null."""
    low, high = RANGES[kind]
    return {"type": ["integer" if "INT" in kind else "number", "null"], "minimum": low, "maximum": high}


def _output_tensor(field: FieldSpec, contract: Contract) -> Schema:
    # The values of a dict are those of a vector here.
    value = output_schema(field.model_copy(update={"kind": "vector"}) if field.kind == "map" else field, contract)
    data = array_of(_element(value, field))
    return _tensor(field, [datatype(field)], array_of(INTEGER_FROM_0), data)


def _tensor(field: FieldSpec, datatypes: list[str], shape: Schema, data: Schema) -> Schema:
    return object_of({"name": {"const": field.name}, "datatype": string_enum(datatypes), "shape": shape, "data": data})


def paths(release: DocumentedRelease) -> dict[str, Any]:
    """Return the operations, by path and method."""
    not_ready, unknown = release.error_responses(503), release.error_responses(404, 503)
    server_ready, live = object_of({"ready": ALWAYS_TRUE}), object_of({"live": ALWAYS_TRUE})
    model_ready = object_of({"name": STRING, "ready": ALWAYS_TRUE})
    version_path, metadata = f"{MODEL_PATH}/versions/{VERSION_PARAMETER}", ref("ModelMetadata")
    found = {
        "/v2": _get("server", "Get name and version of the server", ref("ServerMetadata"), not_ready),
        "/v2/repository/index": {"post": _index(not_ready)},
        "/v2/health/live": _get("live", "Check liveness of the server", live, {}),
        "/v2/health/ready": _get("ready", "Check readiness: whether a version is loaded", server_ready, not_ready),
        MODEL_PATH: _get("metadata", f"Describe inputs and outputs of {THE_CHAMPION}", metadata, unknown),
        f"{MODEL_PATH}/ready": _get("model_ready", "Check whether the model is served", model_ready, unknown),
        f"{MODEL_PATH}/infer": {"post": with_key(_infer("infer", BY_TRAFFIC, release, release.champion))},
        version_path: _get("metadata_version", f"Describe inputs and outputs of {ONE_VERSION}", metadata, unknown),
        f"{version_path}/ready": _get("model_ready_version", "Check whether a version is served", model_ready, unknown),
    }
    for version in release.versions:
        post = _infer(version.operation_id("infer"), ONE_VERSION, release, version)
        found[f"{MODEL_PATH}/versions/{version.reference}/infer"] = {"post": post}
    return found


def _get(operation_id: str, summary: str, content: Schema, errors: dict[str, Any]) -> dict[str, Any]:
    return {"get": operation(operation_id, summary, TAG, {"200": response("success", content)} | errors)}


def _index(errors: dict[str, Any]) -> dict[str, Any]:
    versions = array_of(object_of(dict.fromkeys(("name", "version", "state", "reason"), STRING)))
    responses = {"200": response("one entry for each version", versions)} | errors
    return operation("index", "List the versions that are served", TAG, responses)


def _infer(operation_id: str, which: str, release: DocumentedRelease, version: DocumentedVersion) -> dict[str, Any]:
    example = request(release.example_rows(version), version.contract)
    body = {JSON_TYPE: {"schema": version.ref("InferenceRequest"), "example": example}}
    responses = {"200": response("one tensor for each field", version.ref("InferenceResponse"))}
    responses |= release.error_responses(400, 404, 408, 413, 415, 429, 500, 503)
    responses["200"]["content"][BINARY_TYPE] = {}
    return operation(operation_id, f"Score tensors with {which}", TAG, responses, body)
