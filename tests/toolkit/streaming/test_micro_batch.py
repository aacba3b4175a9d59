"""Micro-batches without a broker: what becomes of each kind of message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from pydantic import BaseModel
from titanic_survival.toolkit.live.live_release import LiveRelease, LiveVersion, ReleaseSnapshot
from titanic_survival.toolkit.release.store import Release
from titanic_survival.toolkit.serving.protocols.predict import JSON_CODEC
from titanic_survival.toolkit.streaming import micro_batch
from titanic_survival.toolkit.streaming.micro_batch import Outgoing, Result


class Message(NamedTuple):
    """A message as aiokafka has it."""

    value: bytes | None
    key: bytes | None = b"key"
    topic: str = "rows"
    partition: int = 1
    offset: int = 7
    headers: tuple[tuple[str, bytes], ...] = (("trace", b"1"),)


def score(live: LiveRelease | ReleaseSnapshot, *messages: Message, max_bytes: int = 10_000) -> Result:
    snapshot = live.snapshot if isinstance(live, LiveRelease) else live
    return asyncio.run(micro_batch.score(snapshot, messages, max_bytes))


def error(message: Outgoing) -> str:
    return dict(message.headers)["model-error"].decode()


def test_numbers_and_text_are_those_of_predict(live: LiveRelease, rows: list[dict[str, Any]]) -> None:
    version = live.snapshot.versions[1]
    messages = [Message(json.dumps(row).encode(), offset=offset) for offset, row in enumerate(rows)]
    result = score(live, *messages)
    number, columns = JSON_CODEC.decode(json.dumps(rows).encode(), version.parser, 1000)
    answer = json.loads(JSON_CODEC.encode(version.artifact.runtime.score(columns), ["-"] * number, version))
    for message, given in zip(result.outgoing, answer, strict=True):
        content = json.loads(message.value or b"")
        assert list(content) == [*given, "time"]
        assert {name: content[name] for name in given if name != "id"} == {
            name: given[name] for name in given if name != "id"
        }
    [scored] = result.scored
    assert len(next(iter(scored.predictions.values()))) == len(rows)


def test_id_is_the_same_whenever_the_message_is_scored_and_no_other_s(live: LiveRelease, values: list[bytes]) -> None:
    def id_of(message: Message) -> str:
        return json.loads(score(live, message).outgoing[0].value or b"")["id"]

    message = Message(values[0])
    others = [message._replace(offset=8), message._replace(partition=2), message._replace(topic="others")]
    assert id_of(message) == id_of(message)
    assert len({id_of(each) for each in (message, *others)}) == 4


@pytest.mark.parametrize(
    ("value", "reason", "text"),
    [
        (b"", "format", "Invalid JSON"),
        (b"nonsense", "format", "Invalid JSON"),
        (b"\xff\xfe", "format", "Invalid JSON"),
        (b'"\xff"', "format", "Invalid JSON"),
        (b'{"a": 1} {"b": 2}', "format", "Invalid JSON"),
        (b"[" * 5000, "format", "Invalid JSON"),
        (b"x" * 20_000, "size", "20000 bytes; at most 10000"),
        (b"17", "contract", "a row must be a JSON object"),
        (b"null", "contract", "a row must be a JSON object"),
        (b"[{}]", "contract", "a row must be a JSON object"),
        (b'{"nobody knows": 1}', "contract", "the field is missing; expected"),
    ],
)
def test_what_is_no_row_is_a_dead_letter_and_the_rows_beside_it_are_scored(
    live: LiveRelease, values: list[bytes], value: bytes, reason: str, text: str
) -> None:
    first, poison, last = score(live, Message(values[0]), Message(value), Message(values[1])).outgoing
    assert (first.reason, last.reason) == ("", "")
    assert (poison.reason, poison.key, poison.value, poison.partition) == (reason, b"key", value, 1)
    assert text in error(poison)
    assert poison.headers[:2] == [("trace", b"1"), ("model-source", b"rows/1/7")]


def test_every_violation_of_a_row_is_named(live: LiveRelease, rows: list[dict[str, Any]]) -> None:
    broken = {name: {"no": "value"} for name in rows[0]}
    good = json.dumps(rows[0]).encode()
    outgoing = score(live, Message(good), Message(json.dumps(broken).encode()), Message(good)).outgoing
    assert [message.reason for message in outgoing] == ["", "contract", ""]
    problems = json.loads(dict(outgoing[1].headers)["model-problems"] or b"")
    assert [problem["field"] for problem in problems] == list(rows[0])
    assert all(problem.keys() == {"field", "value", "reason"} for problem in problems)


def test_thousands_of_violations_are_all_found(live: LiveRelease, rows: list[dict[str, Any]]) -> None:
    broken = json.dumps({name: {"no": "value"} for name in rows[0]}).encode()
    good = json.dumps(rows[0]).encode()
    outgoing = score(live, *[Message(good if i % 100 == 0 else broken) for i in range(1000)]).outgoing
    assert [message.reason for message in outgoing] == ["" if i % 100 == 0 else "contract" for i in range(1000)]


def test_tombstone_is_passed_on_and_needs_a_key(live: LiveRelease) -> None:
    passed, dead = score(live, Message(None), Message(None, key=None)).outgoing
    assert (passed.reason, passed.key, passed.value) == ("", b"key", None)
    assert (dead.reason, "tombstone" in error(dead)) == ("format", True)


def test_traffic_weights_and_shadows_choose_as_the_service_does(
    live: LiveRelease, values: list[bytes], version: Any
) -> None:
    release = Release.now("m", 1, {1: ("champion",), 2: (), 3: ()}, weights={1: 50, 2: 50}, shadows=(3,))
    snapshot = ReleaseSnapshot(release, {n: LiveVersion(n, version, "m") for n in (1, 2, 3)})
    keys = [b"key %d" % n for n in range(50)]
    result = score(snapshot, *[Message(values[0], key) for key in keys])
    found = [json.loads(message.value or b"")["version"] for message in result.outgoing]
    assert found == [snapshot.choose(key).number for key in keys]
    assert set(found) == {1, 2}
    counted = {scored.counters.number: len(next(iter(scored.predictions.values()))) for scored in result.scored}
    assert counted == {1: found.count(1), 2: found.count(2), 3: 50}
    without_key = [Message(values[0], None, offset=offset) for offset in range(50)]
    twice = [[json.loads(m.value or b"")["version"] for m in score(snapshot, *without_key).outgoing] for _ in range(2)]
    assert twice[0] == twice[1]
    assert set(twice[0]) == {1, 2}


class Row(BaseModel):
    """A number."""

    number: float


class Prediction(BaseModel):
    """Its sign."""

    sign: Literal["minus", "plus"]


class Fragile:
    """A model that fails on some valid rows."""

    classes_ = np.array(["minus", "plus"])

    def predict(self, frame: Any) -> np.ndarray:
        """Return the signs."""
        if (frame["number"] == 13).any():
            raise ValueError("unlucky")
        return np.where(frame["number"] < 0, "minus", "plus")


def test_row_on_which_the_model_fails_takes_no_other_with_it(save: Callable[..., Any], tmp_path: Path) -> None:
    version = LiveVersion(1, save(Row, Prediction, Fragile(), [{"number": 1}]), "m")
    snapshot = ReleaseSnapshot(Release.now("m", 1, {1: ("champion",)}), {1: version})
    outgoing = score(snapshot, *[Message(b'{"number": %d}' % n, offset=n) for n in range(20)]).outgoing
    assert [n for n, message in enumerate(outgoing) if message.reason] == [13]
    assert error(outgoing[13]) == "version 1 failed on this row: ValueError: unlucky"
    assert [json.loads(message.value or b"").get("sign") for message in outgoing if not message.reason] == ["plus"] * 19
