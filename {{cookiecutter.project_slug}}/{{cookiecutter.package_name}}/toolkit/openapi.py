"""The OpenAPI document of the scoring routes, derived from the contract of the version that is served."""

from __future__ import annotations

from typing import Any

import numpy as np

from .artifact import Artifact
from .contract import Column, Contract
from .protocols.documented import protocol_paths
from .released import Served

TAG = "Model"

PROBLEM = {
    "type": "object",
    "properties": {
        "row": {"type": ["integer", "null"], "description": "position in the request, from 0"},
        "field": {"type": "string"},
        "value": {},
        "reason": {"type": "string"},
    },
}
ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
INVALID = ERROR | {"properties": ERROR["properties"] | {"problems": {"type": "array", "items": PROBLEM}}}  # type: ignore[operator]


def document(served: Served, *, title: str, description: str, further: dict[str, Any]) -> dict[str, Any]:
    """Return the document; `further` has the paths and components of endpoints beside the scoring routes."""
    artifact = served.artifact
    contract = artifact.contract
    answer = {column.name: _schema(column) for column in contract.prediction}
    answer |= {"id": {"type": "string"}, "version": {"type": "integer"}}
    components = dict(further.get("components", {}))
    components["schemas"] = dict(components.get("schemas", {})) | {
        "Row": {
            "type": "object",
            "properties": {column.name: _schema(column) for column in contract.row},
            "required": [column.name for column in contract.row if column.required],
            "additionalProperties": False,
        },
        "Prediction": {"type": "object", "properties": answer, "required": list(answer)},
        "Explanation": _explanation(contract),
        "Label": _label(contract),
        "Error": ERROR,
        "Invalid": INVALID,
    }
    predict = _rows(artifact, "Score rows with the champion", "predict", "Prediction")
    explain = _rows(artifact, "Explain predictions of the champion", "explain", "Explanation")
    model = {"type": "object"}
    paths = {
        "/predict": {"post": predict},
        "/versions/{version}/predict": {"post": _by_version(predict)},
        "/explain": {"post": explain},
        "/versions/{version}/explain": {"post": _by_version(explain)},
        "/feedback": {"post": _feedback(served)},
        "/model": {
            "get": {
                "summary": "What is served: versions, metrics, inputs",
                "operationId": "model",
                "tags": [TAG],
                "responses": {
                    "200": {"description": "the release", "content": {"application/json": {"schema": model}}}
                },
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": f"version {served.number}"},
        "servers": [{"url": "."}],
        "paths": paths | protocol_paths(artifact) | further.get("paths", {}),
        "components": components,
    }


def _rows(artifact: Artifact, summary: str, name: str, answer: str) -> dict[str, Any]:
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}
    answers = {"type": "array", "items": {"$ref": f"#/components/schemas/{answer}"}}
    return {
        "summary": summary,
        "operationId": name,
        "tags": [TAG],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": rows, "example": artifact.example.rows[:2]}},
        },
        "responses": {
            "200": {
                "description": f"one {answer.lower()} for each row, in the same order",
                "content": {"application/json": {"schema": answers}},
            },
            "400": _answer("rows that break the contract, every one of them", "Invalid"),
            "413": _answer("too many rows or bytes", "Error"),
            "429": _answer("too many requests at once; try again after the seconds in Retry-After", "Error"),
            "503": _answer("no version is loaded yet", "Error"),
        },
    }


def _feedback(served: Served) -> dict[str, Any]:
    """Return the operation that takes true labels; its example names a prediction that the model might have made."""
    label, artifact = served.artifact.contract.label, served.artifact
    values = np.array([row[label.name] for row in artifact.example.predictions[:1]])
    example = [
        {"id": name, label.name: value} for name, value in zip(served.ids.make(values), values.tolist(), strict=True)
    ]
    labels = {"type": "array", "items": {"$ref": "#/components/schemas/Label"}}
    taken = {
        "type": "object",
        "properties": {"taken": {"type": "integer"}, "problems": {"type": "array", "items": PROBLEM}},
        "required": ["taken", "problems"],
    }
    return {
        "summary": "Say what turned out to be true, by the ids of predictions",
        "operationId": "feedback",
        "tags": [TAG],
        "requestBody": {"required": True, "content": {"application/json": {"schema": labels, "example": example}}},
        "responses": {
            "202": {
                "description": "how many labels were taken, and what is wrong with the others",
                "content": {"application/json": {"schema": taken}},
            },
            "400": _answer("no label that could be taken", "Invalid"),
            "413": _answer("too many labels or bytes", "Error"),
            "503": _answer("no version is loaded yet, or the labels cannot be recorded", "Error"),
        },
    }


def _label(contract: Contract) -> dict[str, Any]:
    properties = {"id": {"type": "string", "description": "the id of a prediction"}}
    properties[contract.label.name] = _schema(contract.label)
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _by_version(operation: dict[str, Any]) -> dict[str, Any]:
    """Return the same operation with one version, named by the path."""
    reference = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}
    missing = _answer("the version is not served; the message names those that are", "Error")
    return operation | {
        "summary": operation["summary"].replace("the champion", "one version, by number or alias"),
        "operationId": operation["operationId"] + "_version",
        "parameters": [reference],
        "responses": operation["responses"] | {"404": missing},
    }


def _explanation(contract: Contract) -> dict[str, Any]:
    number = {"type": ["number", "null"]}
    properties = {
        "base": number | {"description": "the mean output over a sample of the training rows"},
        "prediction": number | {"description": "the output for this row: base and contributions add up to it"},
        "contributions": {"type": "object", "properties": {column.name: number for column in contract.row}},
        "output": {"type": "string", "description": "which number of a prediction is explained"},
        "version": {"type": "integer"},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _schema(column: Column) -> dict[str, Any]:
    if column.kind == "category":
        schema: dict[str, Any] = {"type": "string", "enum": list(column.choices)}
    elif column.kind == "bool":
        schema = {"type": "boolean"}
    else:
        words = {"at_least": "minimum", "above": "exclusiveMinimum", "at_most": "maximum", "below": "exclusiveMaximum"}
        schema = {"type": "integer" if column.kind == "int" else "number"}
        schema |= {words[name]: bound for name, bound in column.bounds.items()}
    if column.length is not None:
        schema = {"type": "array", "items": schema, "minItems": column.length, "maxItems": column.length}
    if column.nullable:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    if column.description:
        schema["description"] = column.description
    if not column.required and column.default is not None:
        schema["default"] = column.default
    return schema
