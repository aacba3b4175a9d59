"""A micro-batch: messages that were fetched together, checked and scored together."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import orjson
from pydantic_core import from_json

from ..common.redaction import redact
from ..contract.columns import Columns, records
from ..contract.json_rows import InvalidRowsError
from ..contract.schema import Violation
from ..contract.violation_json import as_json
from ..live.live_release import LiveVersion, ReleaseSnapshot
from ..monitoring.prediction_ids import position_number
from ..monitoring.version_counters import VersionCounters

#: Headers that the stream adds: topic/partition/offset of the message; of dead letters, why.
SOURCE, ERROR, PROBLEMS = "model-source", "model-error", "model-problems"
#: Violations in the headers of a dead letter; brokers count headers to the size of a message.
MAX_PROBLEMS = 20
#: Characters of the reason.
MAX_ERROR_LENGTH = 500

Headers = list[tuple[str, bytes | None]]

log = logging.getLogger(__name__)


class Message(Protocol):
    """What is read of a message, as aiokafka's ConsumerRecord has it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Outgoing(NamedTuple):
    """A message to produce; `reason` is "" for a prediction, and for a dead letter what it is counted under."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str = ""


class ScoredRows(NamedTuple):
    """Rows that a version has scored, to be counted for it once their predictions are acknowledged."""

    counters: VersionCounters
    columns: Columns
    predictions: Columns


class Result(NamedTuple):
    """What becomes of a micro-batch: one outgoing message for each message, in the same order."""

    outgoing: list[Outgoing]
    scored: list[ScoredRows]


async def score(snapshot: ReleaseSnapshot, messages: Sequence[Message], max_bytes: int) -> Result:
    """Return the predictions of messages, and dead letters for those that cannot be scored."""
    outgoing: dict[int, Outgoing] = {}
    scored: list[ScoredRows] = []
    for version, places in _routes(snapshot, messages).items():
        part = _Part(version, messages, max_bytes)
        scored += await part.score(places)
        outgoing |= part.outgoing
    for number in snapshot.release.shadows:  # their predictions are only counted
        scored += await _Part(snapshot.versions[number], messages, max_bytes).score(range(len(messages)))
    return Result([outgoing[place] for place in range(len(messages))], scored)


def _routes(snapshot: ReleaseSnapshot, messages: Sequence[Message]) -> dict[LiveVersion, Sequence[int]]:
    """Return the places of the messages for each version: by the traffic weights, the same one for the same key."""
    if not snapshot.release.weights:
        return {snapshot.versions[snapshot.release.champion]: range(len(messages))}
    routes: defaultdict[LiveVersion, list[int]] = defaultdict(list)
    for place, message in enumerate(messages):
        # Without a key, by what stays the same when the message is scored again.
        routes[snapshot.choose(message.key or source(message))].append(place)
    return dict(routes)


def source(message: Message) -> bytes:
    """Return where a message comes from: topic/partition/offset."""
    return f"{message.topic}/{message.partition}/{message.offset}".encode()


def dead_letter(message: Message, reason: str, error: str, violations: list[Violation] | None = None) -> Outgoing:
    """Return a message for the dead-letter topic: key and value as they came, and the reason in headers."""
    headers = [*message.headers, (SOURCE, source(message)), (ERROR, error[:MAX_ERROR_LENGTH].encode())]
    if violations:
        problems = as_json(violations[:MAX_PROBLEMS])
        for problem in problems:
            del problem["row"]  # its place in the micro-batch, which means nothing to a reader
        headers.append((PROBLEMS, orjson.dumps(problems)))
    return Outgoing(message.partition, message.key, message.value, headers, reason)


class _Part:
    """The messages of a micro-batch that one version scores."""

    def __init__(self, version: LiveVersion, messages: Sequence[Message], max_bytes: int) -> None:
        self._version, self._messages, self._max_bytes = version, messages, max_bytes
        self.outgoing: dict[int, Outgoing] = {}

    async def score(self, places: Sequence[int]) -> list[ScoredRows]:
        """Fill `outgoing` for the messages at some places, and return what was scored."""
        places, columns = self._check(*self._parse(places))
        parts = await self._predict(places, columns) if places else []
        for part, scored in parts:
            self._encode(part, scored.predictions)
        return [scored for _, scored in parts]

    def _reject(self, place: int, reason: str, error: str, violations: list[Violation] | None = None) -> None:
        self.outgoing[place] = dead_letter(self._messages[place], reason, error, violations)

    def _parse(self, places: Sequence[int]) -> tuple[list[int], list[Any]]:
        """Return the places of messages that are JSON, and what they hold."""
        parsed: list[int] = []
        rows: list[Any] = []
        for place in places:
            message = self._messages[place]
            value = message.value
            if value is None:
                self._tombstone(place, message)
            elif len(value) > self._max_bytes:
                self._reject(place, "size", f"{len(value)} bytes; at most {self._max_bytes} are allowed (MAX_BYTES)")
            else:
                try:
                    rows.append(from_json(value))
                    parsed.append(place)
                except ValueError as error:
                    self._reject(place, "format", f"Invalid JSON: {error}")
        return parsed, rows

    def _tombstone(self, place: int, message: Message) -> None:
        """Pass a tombstone on: in a compacted topic, the prediction of a row goes with the row."""
        if message.key is None:
            self._reject(place, "format", "neither key nor value: a row is a JSON object, a tombstone has a key")
        else:
            headers = [*message.headers, (SOURCE, source(message))]
            self.outgoing[place] = Outgoing(message.partition, message.key, None, headers)

    def _check(self, places: list[int], rows: list[Any]) -> tuple[list[int], Columns]:
        """Return the places of rows that keep the contract, and their columns."""
        while rows:
            try:
                return places, self._version.parser.parse_dicts(rows)[1]
            except InvalidRowsError as error:
                invalid: defaultdict[int, list[Violation]] = defaultdict(list)
                for violation in error.violations:
                    invalid[violation.row or 0].append(violation)
                for row, violations in invalid.items():
                    first = violations[0]
                    text = f"{first.field}: {first.reason}" if first.field else first.reason
                    self._reject(places[row], "contract", text, violations)
                # Of too many violations the error has only the first, so the other rows are checked again.
                places = [place for row, place in enumerate(places) if row not in invalid]
                rows = [content for row, content in enumerate(rows) if row not in invalid]
        return [], {}

    async def _predict(self, places: list[int], columns: Columns) -> list[tuple[list[int], ScoredRows]]:
        """Return the rows with their predictions; if the model fails, it is called with ever fewer rows."""
        version = self._version
        try:
            predictions = await version.score(len(places), columns)
            return [(places, ScoredRows(version.counters, columns, predictions))]
        except Exception as error:
            if len(places) == 1:
                text = f"version {version.number} failed on this row: {type(error).__name__}: {redact(str(error))}"
                log.error("%s: %s", source(self._messages[places[0]]).decode(), text)
                self._reject(places[0], "failure", text)
                return []
        half = len(places) // 2
        parts = slice(half), slice(half, None)
        return [
            scored
            for part in parts
            for scored in await self._predict(places[part], {name: array[part] for name, array in columns.items()})
        ]

    def _encode(self, places: list[int], predictions: Columns) -> None:
        version, messages = self._version, [self._messages[place] for place in places]
        rows = records(
            predictions,
            version.artifact.contract,
            id=version.ids.make(predictions, [position_number(m.topic, m.partition, m.offset) for m in messages]),
            version=[version.number] * len(places),
            time=[datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")] * len(places),
        )
        for place, message, row in zip(places, messages, rows, strict=True):
            value = orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)
            headers = [*message.headers, (SOURCE, source(message))]
            self.outgoing[place] = Outgoing(message.partition, message.key, value, headers)
