"""What the OpenAPI document says of the protocols; their own specifications say the rest."""

from __future__ import annotations

from typing import Any

from ..artifact import Artifact
from .mlflow import CSV, JSON
from .open_inference import example

MLFLOW, OPEN_INFERENCE = "MLflow scoring protocol", "Open Inference Protocol v2"
FREE = {"type": "object"}


def protocol_paths(artifact: Artifact) -> dict[str, Any]:
    """Return the paths of both protocols, with requests that a version takes."""
    rows = {JSON: {"schema": FREE, "example": {"dataframe_records": artifact.example.rows[:2]}}}
    invocations = _operation("Score a table with the champion", MLFLOW, rows | {CSV: {"schema": {"type": "string"}}})
    tensors = {JSON: {"schema": FREE, "example": example(artifact)}}
    infer = _operation("Score tensors, one for each field", OPEN_INFERENCE, tensors)
    model, version = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    asked = {
        "/ping": ("Whether a version is loaded", MLFLOW),
        "/health": ("Whether a version is loaded", MLFLOW),
        "/version": ("The version of MLflow that the champion was made with", MLFLOW),
        "/v2": ("Name and version of the server", OPEN_INFERENCE),
        "/v2/health/live": ("Whether the server runs", OPEN_INFERENCE),
        "/v2/health/ready": ("Whether a version is loaded", OPEN_INFERENCE),
        model: ("Inputs and outputs of the champion", OPEN_INFERENCE),
        f"{model}/ready": ("Whether the model is served", OPEN_INFERENCE),
        version: ("Inputs and outputs of one version, by number or alias", OPEN_INFERENCE),
        f"{version}/ready": ("Whether a version is served", OPEN_INFERENCE),
    }
    posted = {"/invocations": invocations, f"{model}/infer": infer, f"{version}/infer": infer}
    paths = {path: {"get": _operation(*said)} for path, said in asked.items()}
    paths |= {path: {"post": operation} for path, operation in posted.items()}
    for path, operations in paths.items():
        for method, operation in operations.items():
            if "{" in path:
                operation["responses"]["404"] = {"description": "no such model or version"}
            if path.endswith("/live"):
                del operation["responses"]["503"]
            operations[method] = operation | _parameters(path) | {"operationId": _name(method, path)}
    return paths


def _operation(summary: str, tag: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    refused = {"413": {"description": "too many rows or bytes"}} if body else {}
    refused |= {"400": {"description": "what is wrong with the body"}} if body else {}
    refused |= {"415": {"description": "another content type"}} if body and CSV in body else {}
    operation = {
        "summary": summary,
        "tags": [tag],
        "responses": {"200": {"description": "the answer"}, "503": {"description": "no version is loaded yet"}}
        | refused,
    }
    return operation | ({"requestBody": {"required": True, "content": body}} if body else {})


def _parameters(path: str) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    schema = {"in": "path", "required": True, "schema": {"type": "string"}}
    return {"parameters": [{"name": name} | schema for name in names]} if names else {}


def _name(method: str, path: str) -> str:
    return "_".join([method, *(part.strip("{}") for part in path.split("/") if part)])
