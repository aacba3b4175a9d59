"""The project's own routes: rows in, predictions and explanations out; feedback; what is served."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..limits import MAX_EXPLAINED_ROWS
from .operations import JSON, DocumentedVersion, Subject, answer, keyed, operation
from .schemas import TEXT, Schema, either, record, ref, several

TAG = "Model"
READY = record({"ready": {"const": True}, "problem": TEXT | {"description": "empty if there is none"}})


def paths(subject: Subject) -> dict[str, Any]:
    """Return the operations, by path and method."""
    found = {
        "/predict": {"post": keyed(_predict(subject, subject.champion))},
        "/explain": {"post": _explain(subject, subject.champion)},
        "/feedback": {"post": _feedback(subject)},
        "/model": {"get": _get("model", "What is served: versions, metrics, inputs", ref("Release"), subject)},
        "/readyz": {"get": _get("readyz", "Whether a version is loaded, and what keeps it behind", READY, subject)},
    }
    for version in subject.versions:
        base = f"/versions/{version.reference}"
        found[f"{base}/predict"] = {"post": _by_version(_predict(subject, version), version, subject)}
        found[f"{base}/explain"] = {"post": _by_version(_explain(subject, version), version, subject)}
    return found


def _predict(subject: Subject, version: DocumentedVersion) -> dict[str, Any]:
    answers = {"200": answer("one prediction for each row, in the same order", several(version.ref("Prediction")))}
    rows = {"schema": several(version.ref("Row"), subject.max_rows), "example": subject.rows(version)}
    return operation("predict", "Score rows with the champion", TAG, answers | _refusals(subject), {JSON: rows})


def _explain(subject: Subject, version: DocumentedVersion) -> dict[str, Any]:
    answers = {"200": answer("one explanation for each row, in the same order", several(version.ref("Explanation")))}
    answers |= _refusals(subject)
    answers["413"] = answer(
        f"more than {MAX_EXPLAINED_ROWS} rows, or {subject.max_bytes} bytes (MAX_BYTES)", ref("Error")
    )
    rows = {"schema": several(version.ref("Row"), MAX_EXPLAINED_ROWS), "example": subject.rows(version)}
    return operation("explain", "Explain predictions of the champion", TAG, answers, {JSON: rows})


def _refusals(subject: Subject) -> dict[str, Any]:
    invalid = answer("rows that break the contract: every bad value of every one of them", ref("Invalid"))
    return {"400": invalid} | subject.refusals(413, 429, 500, 503)


def _by_version(content: dict[str, Any], version: DocumentedVersion, subject: Subject) -> dict[str, Any]:
    """Return the same operation with one version, named by the path."""
    return content | {
        "summary": content["summary"].replace("the champion", "one version, by number or alias"),
        "operationId": version.name(content["operationId"]),
        "responses": content["responses"] | subject.refusals(404),
    }


def _feedback(subject: Subject) -> dict[str, Any]:
    """Return the operation that takes true labels; its example names a prediction that the model might have made."""
    champion = subject.champion.served
    values = np.array([row[champion.label] for row in champion.artifact.example.predictions[:1]])
    examples = zip(champion.ids.make(values), values.tolist(), strict=True)
    labels = {
        "schema": several(either([ref(f"Label{suffix}") for suffix in subject.suffixes.values()]), subject.max_rows),
        "example": [{"id": name, champion.label: value} for name, value in examples],
    }
    answers = {
        "202": answer("how many labels were taken, and what is wrong with the others", ref("Taken")),
        "400": answer("no label that could be taken", ref("Invalid")),
        "503": answer("no version is loaded yet, or the labels cannot be recorded", ref("Error")),
    }
    summary = "Say what turned out to be true, by the ids of predictions"
    return operation("feedback", summary, TAG, answers | subject.refusals(413), {JSON: labels})


def _get(name: str, summary: str, content: Schema, subject: Subject) -> dict[str, Any]:
    return operation(name, summary, TAG, {"200": answer("what is served", content)} | subject.refusals(503))
