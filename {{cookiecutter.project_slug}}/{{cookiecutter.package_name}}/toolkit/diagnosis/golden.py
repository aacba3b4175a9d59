"""Golden requests: every way to score gives the predictions of the training for the example rows, bit for bit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import requests

from ..batch.scoring import Scorer
from ..common.authorization import authorized
from ..common.errors import UserError
from ..common.findings import Finding, error, ok, warning
from ..common.names import GOLDEN_KEY
from ..live.live_release import LiveVersion, ReleaseSnapshot
from ..release.store import Release, Store
from ..serving.protocols.predict import JSON_CODEC
from ..streaming import micro_batch
from ..version.artifact import Artifact, is_close

REQUEST_SECONDS = 10

Predictions = list[dict[str, Any]]


class Version(NamedTuple):
    """A version of the store, with its number and the name of its model."""

    number: int
    model: str
    artifact: Artifact


#: Predicts the example rows of a version.
Way = Callable[[Version], Predictions]


def check(store: Store, ways: Mapping[str, Way]) -> Iterator[Finding]:
    """Compare the predictions of each version of the release by several ways, by name, with those of its training."""
    release = store.release()
    for number in sorted(release.versions) if release else []:
        assert release
        try:
            version = Version(number, release.model, store.load(number, release.digests.get(number, "")))
        except UserError:
            continue  # a finding of the store
        yield from _compare(version, ways)


def _compare(version: Version, ways: Mapping[str, Way]) -> Iterator[Finding]:
    expected, equal = version.artifact.example.predictions, ["training"]
    for name, way in ways.items():
        try:
            predicted = way(version)
        except UserError as problem:
            yield warning(f"version {version.number} cannot be asked by {name}: {problem}")
            continue
        except Exception as problem:  # whatever a model raises
            text = f"{type(problem).__name__}: {problem}"
            yield error(f"version {version.number} fails on its example rows by {name} ({text}): train again")
            continue
        if difference := _difference(expected, predicted):
            yield difference._replace(text=f"version {version.number}: {name} {difference.text}")
        else:
            equal.append(name)
    if len(equal) > 1:
        yield ok(f"version {version.number}: {' = '.join(equal)} on {len(expected)} rows, bit for bit")


def _difference(expected: Predictions, predicted: Predictions) -> Finding | None:
    """Return in what predictions differ from those of the training, None if in no bit."""
    if len(expected) != len(predicted):
        return error(f"gives {len(predicted)} predictions for {len(expected)} rows: train again")
    close = ""
    for row, (one, other) in enumerate(zip(expected, predicted, strict=True)):
        for name, value in one.items():
            if name in other and value == other[name] and type(value) is type(other[name]):
                continue
            text = f"predicts {name}={other.get(name)} for row {row}, the training {value}"
            if name not in other or not is_close(value, other[name]):
                return error(f"{text}: libraries differ from those of the training; make setup, or train again")
            close = close or text
    return warning(f"{close}: close, as on another kind of processor, but not the same bits") if close else None


def batch(version: Version) -> Predictions:
    """Predict as `make predict` does."""
    rows = version.artifact.example.rows
    names = [field.name for field in version.artifact.contract.row]
    arrays = [pa.array([row.get(field.name, field.default) for row in rows]) for field in version.artifact.contract.row]
    scored = Scorer(version.artifact, version.number, "", datetime.now(UTC)).score(
        pa.RecordBatch.from_arrays(arrays, names)
    )
    fields = [field.name for field in version.artifact.contract.prediction]
    table = scored.scored.select(fields).to_pylist()
    return [dict(row) for row in table]


def in_process(version: Version) -> Predictions:
    """Predict as the service does, without one."""
    live = LiveVersion(version.number, version.artifact, version.model)
    body = json.dumps(version.artifact.example.rows).encode()
    rows, columns = JSON_CODEC.decode(body, live.parser, len(version.artifact.example.rows))
    predictions = asyncio.run(live.score(rows, columns))
    answer: Predictions = orjson.loads(JSON_CODEC.encode(predictions, [""] * rows, live))
    return answer


@dataclass
class _Message:
    """A message as a broker would deliver it."""

    value: bytes | None
    offset: int
    topic: str = "doctor"
    partition: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


def stream(version: Version) -> Predictions:
    """Predict as `make stream` does, without brokers."""
    live = LiveVersion(version.number, version.artifact, version.model)
    release = Release.now(version.model, version.number, {version.number: ()})
    messages = [_Message(orjson.dumps(row), offset) for offset, row in enumerate(version.artifact.example.rows)]
    size = max((len(message.value or b"") for message in messages), default=0)
    result = asyncio.run(micro_batch.score(ReleaseSnapshot(release, {version.number: live}), messages, size))
    if failed := next((message for message in result.outgoing if message.reason), None):
        raise ValueError(f"a dead letter, {failed.reason}")
    return [orjson.loads(message.value or b"{}") for message in result.outgoing]


def by_service(url: str, authorization: str) -> Way:
    """Return what asks the service at a URL, which counts and logs these rows as any others, under a key of theirs."""

    def ask(version: Version) -> Predictions:
        path, rows = f"{url}/versions/{version.number}/predict", version.artifact.example.rows
        try:
            headers = {"X-Key": GOLDEN_KEY}
            answer = requests.post(
                path, json=rows, headers=headers, timeout=REQUEST_SECONDS, auth=authorized(authorization)
            )
            if not answer.ok:
                raise UserError(f"{path} answers {answer.status_code} {answer.text[:300]}")
            predictions: Predictions = answer.json()
        except (requests.RequestException, ValueError) as problem:
            raise UserError(f"no answer from {path} ({type(problem).__name__})") from problem
        return predictions

    return ask
