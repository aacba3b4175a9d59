"""`POST /feedback`: actual labels by prediction id, checked, written to the feedback log, and counted.

A label that is sent again is taken, but neither written nor counted again. Another label for the same prediction is
written, since the last one is the actual one, but not counted: a counter takes nothing back.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..common.errors import RejectedError
from ..common.names import CHAMPION
from ..contract.annotations import annotation
from ..contract.json_rows import InvalidRowsError, TooManyRowsError
from ..contract.schema import FieldSpec, Violation
from ..contract.violation_json import as_json
from ..live.live_release import LiveRelease, ReleaseSnapshot
from ..monitoring import feedback_counters, feedback_log, prediction_ids
from ..monitoring.counted_labels import CountedLabels, number_of
from ..monitoring.prediction_log import LogFile
from .parsing import parse
from .protocols.codec import reject
from .protocols.predict import JSON_CODEC


class Item(NamedTuple):
    """The actual label of one row, or its labels, with the id of its prediction and what that id holds."""

    id: str
    prediction: prediction_ids.DecodedId
    labels: tuple[FieldSpec, ...]
    actual: list[Any]
    #: Whether the version of the prediction is part of the current release.
    served: bool

    @property
    def label(self) -> feedback_log.Label:
        """What the log has of it."""
        names = (label.name for label in self.labels)
        return feedback_log.Label(self.id, self.prediction.version, dict(zip(names, self.actual, strict=True)))

    @property
    def numbers(self) -> tuple[int, int]:
        """The numbers of the id and of the actual labels."""
        return number_of(self.id), number_of(self.actual)


class Recorded(NamedTuple):
    """What became of labels: those to count, and how many were known already."""

    first: list[Item]
    known: int


class FeedbackRoute:
    """Takes actual labels for the predictions of one model."""

    def __init__(self, live: LiveRelease, max_items: int, file: LogFile) -> None:
        self._live, self._max_items, self._file = live, max_items, file
        self._counted = CountedLabels(file.folder / f"{feedback_log.NAME}.counted")
        self._adapters: dict[str, TypeAdapter[Any]] = {}
        # A log file has one writer at a time.
        self._writing = asyncio.Lock()

    async def answer(self, body: bytes) -> tuple[int, bytes]:
        """Return status and JSON for a body: how many labels were taken, and the violations of the others.

        `known` is there if labels among those taken were sent before. 409 if no version that is served has a label.
        """
        try:
            snapshot = self._live.snapshot
            if snapshot.versions and not any(v.artifact.contract.labels for v in snapshot.versions.values()):
                text = "the model learns without a label, so there is none that feedback could be compared with"
                raise RejectedError(409, text)
            items, violations = await parse(self._check, body)
            if violations and not items:
                raise InvalidRowsError(violations)
            recorded = await self._write(items) if items else Recorded([], 0)
        except (RejectedError, InvalidRowsError) as error:
            return reject(JSON_CODEC, error)
        for item in recorded.first:
            feedback_counters.count(item.prediction, item.labels, item.actual, served=item.served)
        known = {"known": recorded.known} if recorded.known else {}
        return 202, orjson.dumps({"taken": len(items), **known, "problems": as_json(violations)})

    def _check(self, body: bytes) -> tuple[list[Item], list[Violation]]:
        return self._split_valid(self._parse(body))

    def _parse(self, body: bytes) -> list[Any]:
        try:
            # A label is one object, and may be a list; there is at least one field in every contract.
            content = self._live.snapshot.find(CHAMPION).parser.load(body, self._max_items)
        except TooManyRowsError:
            text = f"at most {self._max_items} labels are allowed per request (MAX_ROWS)"
            raise RejectedError(413, text) from None
        except ValueError as error:
            raise InvalidRowsError([Violation(None, "", None, f"Invalid JSON: {error}")]) from None
        if not isinstance(content, list):
            reason = "the body must be a JSON list of objects with an 'id' and the actual label"
            raise InvalidRowsError([Violation(None, "", content, reason)])
        if len(content) > self._max_items:
            text = f"{len(content)} labels; at most {self._max_items} labels are allowed per request (MAX_ROWS)"
            raise RejectedError(413, text)
        return content

    def _split_valid(self, content: list[Any]) -> tuple[list[Item], list[Violation]]:
        """Return the valid labels, and the violations of the others."""
        snapshot = self._live.snapshot
        items: list[Item] = []
        violations: list[Violation] = []
        for row, value in enumerate(content):
            checked = self._item(row, value, snapshot)
            if isinstance(checked, Item):
                items.append(checked)
            else:
                violations.append(checked)
        return items, violations

    def _item(self, row: int, content: Any, snapshot: ReleaseSnapshot) -> Item | Violation:
        if not isinstance(content, dict):
            return Violation(row, "", content, "must be a JSON object with an 'id' and the actual label")
        text = content.get("id")
        prediction = feedback_log.identify(text, snapshot.release.model)
        if isinstance(prediction, str):
            return Violation(row, "id", text, prediction)
        # A version that is no longer served is taken to have the label of the champion.
        version = snapshot.versions.get(prediction.version) or snapshot.find(CHAMPION)
        labels = version.artifact.contract.labels
        if reason := feedback_log.mismatch(prediction, labels):
            return Violation(row, "id", text, reason)
        names = [label.name for label in labels]
        for name in content:
            if name not in ("id", *names):
                expected = ", ".join(["id", *names])
                return Violation(row, name, content[name], f"not a field of feedback; its fields are {expected}")
        actual = []
        for label in labels:
            if label.name not in content:
                return Violation(row, label.name, None, f"the label is missing; expected {label.expects}")
            try:
                actual.append(self._adapter(label).validate_python(content[label.name]))
            except ValidationError:
                return Violation(row, label.name, content[label.name], f"expected {label.expects}")
        return Item(str(text).lower(), prediction, labels, actual, prediction.version in snapshot.versions)

    def _adapter(self, label: FieldSpec) -> TypeAdapter[Any]:
        key = label.model_dump_json()
        if key not in self._adapters:
            self._adapters[key] = TypeAdapter(annotation(label), config=ConfigDict(strict=True))
        return self._adapters[key]

    async def _write(self, items: list[Item]) -> Recorded:
        """Write labels to the log before the 202 is sent; `RejectedError` (503) if that fails."""
        async with self._writing:
            try:
                return await asyncio.to_thread(self._record, items)
            except OSError as error:
                raise RejectedError(503, f"the labels cannot be recorded ({error}); send them again later") from error

    def _record(self, items: list[Item]) -> Recorded:
        """Write the labels that are not known, and know them from then on."""
        new: dict[int, int] = {}
        labels, first = [], []
        for item in items:
            id_number, label_number = item.numbers
            before = new[id_number] if id_number in new else self._counted.find(id_number)
            if before == label_number:
                continue
            if before is None:
                first.append(item)
            new[id_number] = label_number
            labels.append(item.label)
        if labels:
            self._file.append(feedback_log.lines(labels, datetime.now(UTC)))
        for numbers in new.items():
            self._counted.add(*numbers)
        return Recorded(first, len(items) - len(labels))
