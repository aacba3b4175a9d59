"""Feedback: true labels by prediction id, checked, recorded, and counted as the quality of a version."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json

from ..common.errors import RejectedError
from ..contract.json_rows import InvalidRowsError, annotation
from ..contract.schema import FieldSpec, Violation
from ..monitoring import prediction_ids
from ..monitoring.metrics import ABSOLUTE_ERROR, FEEDBACK, NAMED_CLASSES, SQUARED_ERROR
from ..monitoring.prediction_log import LogFile
from .scoring import PREDICT, Scoring, listed, refused


class Item(NamedTuple):
    """One label that was taken."""

    id: str
    said: prediction_ids.DecodedId
    label: FieldSpec
    value: Any


class Feedback:
    """Takes labels for the predictions of one model."""

    def __init__(self, scoring: Scoring, file: LogFile) -> None:
        self._scoring, self._file = scoring, file
        self._checks: dict[str, TypeAdapter[Any]] = {}
        # One at a time: a file has one writer.
        self._writing = asyncio.Lock()

    async def answer(self, body: bytes) -> tuple[int, bytes]:
        """Return status code and JSON: how many labels were taken, and what is wrong with the others."""
        try:
            given = self._given(body)
            taken, problems = self._check(given)
            if problems and not taken:
                raise InvalidRowsError(problems)
            if taken:
                await self._record(taken)
        except (RejectedError, InvalidRowsError) as error:
            return refused(PREDICT, error)
        for item in taken:
            count(item)
        return 202, orjson.dumps({"taken": len(taken), "problems": listed(problems)})

    def _given(self, body: bytes) -> list[Any]:
        try:
            given = from_json(body)
        except ValueError as error:
            raise InvalidRowsError([Violation(None, "", None, f"Invalid JSON: {error}")]) from None
        if not isinstance(given, list):
            reason = "the body must be a JSON list of objects with an 'id' and the true label"
            raise InvalidRowsError([Violation(None, "", given, reason)])
        if len(given) > self._scoring.max_rows:
            limit = self._scoring.max_rows
            raise RejectedError(413, f"{len(given)} labels; at most {limit} fit in one request (MAX_ROWS)")
        return given

    def _check(self, given: list[Any]) -> tuple[list[Item], list[Violation]]:
        taken: list[Item] = []
        problems: list[Violation] = []
        for row, content in enumerate(given):
            found = self._item(row, content)
            (taken if isinstance(found, Item) else problems).append(found)  # type: ignore[arg-type]
        return taken, problems

    def _item(self, row: int, content: Any) -> Item | Violation:
        if not isinstance(content, dict):
            return Violation(row, "", content, "must be a JSON object with an 'id' and the true label")
        text = content.get("id")
        if not isinstance(text, str):
            return Violation(row, "id", text, "expected the id of a prediction")
        release = self._scoring.release
        said = prediction_ids.read(text, release.model) if release else None
        if said is None:
            return Violation(row, "id", text, "not the id of a prediction of this model")
        label = self._label(said.version)
        for name in content:
            if name not in ("id", label.name):
                return Violation(row, name, content[name], f"not a field of feedback; its fields are id, {label.name}")
        if label.name not in content:
            return Violation(row, label.name, None, f"the label is missing; expected {label.expects}")
        try:
            value = self._adapter(label).validate_python(content[label.name])
        except ValidationError:
            return Violation(row, label.name, content[label.name], f"expected {label.expects}")
        return Item(text, said, label, value)

    def _label(self, version: int) -> FieldSpec:
        """Return the label of a version; that of the champion if the version is not served any more."""
        served = self._scoring.versions.get(version) or self._scoring.find("champion")
        return served.artifact.contract.label

    def _adapter(self, label: FieldSpec) -> TypeAdapter[Any]:
        key = label.model_dump_json()
        if key not in self._checks:
            self._checks[key] = TypeAdapter(annotation(label), config=ConfigDict(strict=True))
        return self._checks[key]

    async def _record(self, taken: list[Item]) -> None:
        """Have the labels on the disk before they are said to be taken."""
        now = datetime.now(UTC)
        lines = b"".join(
            orjson.dumps(
                {"time": now, "version": item.said.version, "id": item.id, item.label.name: item.value},
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for item in taken
        )
        async with self._writing:
            try:
                await asyncio.to_thread(self._file.append, lines)
            except OSError as error:
                raise RejectedError(503, f"the labels cannot be recorded ({error}); send them again later") from error


def count(item: Item) -> None:
    """Count one label: of classes what was said and what is so, of numbers how far apart they are."""
    version, code = item.said
    if item.label.kind == "float":
        FEEDBACK.labels(version, "", "", "").inc()
        error = prediction_ids.number(code) - item.value
        if math.isfinite(error):
            ABSOLUTE_ERROR.labels(version).inc(abs(error))
            SQUARED_ERROR.labels(version).inc(error**2)
        return
    actual = prediction_ids.codes(np.array([item.value]), item.label)[0]
    names = prediction_ids.names(item.label, NAMED_CLASSES)
    said, so = names.get(code, "other"), names.get(actual, "other")
    FEEDBACK.labels(version, said, so, str(code == actual).lower()).inc()
