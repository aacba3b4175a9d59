"""The operations of the project's own routes: predictions, explanations, feedback, and the current release."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...contract.violation_json import MAX_JSON_VIOLATIONS
from ..limits import MAX_EXPLAINED_ROWS
from .documented_release import BY_TRAFFIC, ONE_VERSION, THE_CHAMPION, DocumentedRelease, DocumentedVersion
from .json_schema import ALWAYS_TRUE, STRING, Schema, any_of, array_of, object_of, ref
from .operations import JSON_TYPE, operation, response, with_key

TAG = "Model"
READINESS = object_of({"ready": ALWAYS_TRUE, "problem": STRING | {"description": "empty if there is none"}})


def paths(release: DocumentedRelease) -> dict[str, Any]:
    """Return the operations, by path and method."""
    readiness, current = "Check readiness: whether a version is loaded", "Describe the current release"
    found = {
        "/predict": {"post": with_key(_predict(release, release.champion, BY_TRAFFIC))},
        "/explain": {"post": _explain(release, release.champion, THE_CHAMPION)},
        "/feedback": {"post": _feedback(release)},
        "/model": {"get": _get("model", f"{current}: versions, metrics, inputs", ref("Release"), release)},
        "/readyz": {"get": _get("readyz", readiness, READINESS, release)},
    }
    for version in release.versions:
        base = f"/versions/{version.reference}"
        found[f"{base}/predict"] = {"post": _by_version(_predict(release, version, ONE_VERSION), version, release)}
        found[f"{base}/explain"] = {"post": _by_version(_explain(release, version, ONE_VERSION), version, release)}
    return found


def _predict(release: DocumentedRelease, version: DocumentedVersion, which: str) -> dict[str, Any]:
    predictions = response("one prediction for each row, in the same order", array_of(version.ref("Prediction")))
    rows = {"schema": array_of(version.ref("Row"), release.limits.max_rows), "example": release.example_rows(version)}
    responses = {"200": predictions} | _errors(release)
    return operation("predict", f"Score rows with {which}", TAG, responses, {JSON_TYPE: rows})


def _explain(release: DocumentedRelease, version: DocumentedVersion, which: str) -> dict[str, Any]:
    explanations = response("one explanation for each row, in the same order", array_of(version.ref("Explanation")))
    too_large = f"more than {MAX_EXPLAINED_ROWS} rows, or {release.limits.max_bytes} bytes (MAX_BYTES)"
    rows = {"schema": array_of(version.ref("Row"), MAX_EXPLAINED_ROWS), "example": release.example_rows(version)}
    responses = {"200": explanations} | _errors(release) | {"413": response(too_large, ref("Error"))}
    return operation("explain", f"Explain predictions of {which}", TAG, responses, {JSON_TYPE: rows})


def _errors(release: DocumentedRelease) -> dict[str, Any]:
    invalid = response(f"invalid rows: their violations, at most the first {MAX_JSON_VIOLATIONS}", ref("InvalidRows"))
    return {"400": invalid} | release.error_responses(408, 413, 415, 429, 500, 503)


def _by_version(content: dict[str, Any], version: DocumentedVersion, release: DocumentedRelease) -> dict[str, Any]:
    """Return an operation for a path that names the version."""
    return content | {
        "operationId": version.operation_id(content["operationId"]),
        "responses": content["responses"] | release.error_responses(404),
    }


def _feedback(release: DocumentedRelease) -> dict[str, Any]:
    """Return the operation that takes actual labels; its example has the id of a prediction that is possible."""
    champion = release.champion.live
    contract, rows = champion.artifact.contract, champion.artifact.example.predictions[:1]
    names = [field.name for field in contract.labels or contract.prediction[:1]]
    ids = champion.ids.make({name: np.array([row[name] for row in rows]) for name in names})
    labels = {
        "schema": array_of(
            any_of([ref(f"Label{suffix}") for suffix in release.suffixes.values()]), release.limits.max_rows
        ),
        "example": [{"id": made} | {name: row[name] for name in names} for made, row in zip(ids, rows, strict=True)],
    }
    responses = {
        "202": response("how many labels were recorded, and the violations of the others", ref("FeedbackResult")),
        "400": response("no valid label", ref("InvalidRows")),
        "409": response("the model learns without a label", ref("Error")),
        "503": response("no version is loaded yet, or the labels cannot be recorded", ref("Error")),
    }
    summary = "Send actual labels for predictions, by id"
    return operation(
        "feedback", summary, TAG, responses | release.error_responses(408, 413, 415, 429), {JSON_TYPE: labels}
    )


def _get(operation_id: str, summary: str, content: Schema, release: DocumentedRelease) -> dict[str, Any]:
    responses = {"200": response("the state of the service", content)} | release.error_responses(503)
    return operation(operation_id, summary, TAG, responses)
