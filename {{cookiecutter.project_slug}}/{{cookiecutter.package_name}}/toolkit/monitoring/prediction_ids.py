"""Prediction ids: each holds the version and the predicted labels, so that feedback needs no look-up.

A label that arrives days later can be compared with its prediction by any worker of any replica:

    version (4 bytes), code of the predicted label (4), random (8), checksum with the model's name (4), as 40 hex digits

The random part of a streamed prediction is derived from where its message is, so that it is the same when the message
is scored again.

Of several labels, the codes of the others (4 bytes each) are between the random part and the checksum. A model without
label has the code of the first field.

The checksum tells ids of this model from others; it keeps no secret, since the caller has the prediction anyway.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from secrets import randbits
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from ..contract.columns import Columns
from ..contract.schema import FieldSpec

HEAD, CHECKSUM = struct.Struct(">IIQ"), struct.Struct(">I")
#: The hexadecimal digits of an id with one label, of the code of another label, and of the longest id.
ID_LENGTH = 2 * (HEAD.size + CHECKSUM.size)
CODE_LENGTH, MAX_LENGTH = 8, 8_000
#: The random part counts modulo this.
RANDOM_VALUES = 2**64
#: A position has 44 bits for the offset, half a millennium at a thousand messages a second, and 20 for the partition.
OFFSET_BITS, PARTITIONS = 44, 2**20


class DecodedId(NamedTuple):
    """What an id holds: the version, and the codes of the labels that it predicted."""

    version: int
    codes: tuple[int, ...]


class IdGenerator:
    """Makes the ids of one version's predictions."""

    def __init__(self, model: str, version: int, *fields: FieldSpec) -> None:
        self._version, self._seed = version, crc32(model.encode())
        self._first, *self._others = fields

    def make(self, predictions: Columns, numbers: Iterable[int] | None = None) -> list[str]:
        """Return an id for each prediction; `numbers`, of 64 bits, take the place of the random part."""
        if numbers is None:
            # One random number for all rows, incremented for each: a draw a row would cost more than the rest.
            start = randbits(64)
            numbers = (number % RANDOM_VALUES for number in count(start))
        heads = [
            HEAD.pack(self._version, code, number)
            for code, number in zip(codes(predictions[self._first.name], self._first), numbers, strict=False)
        ]
        if self._others:
            others = np.array([codes(predictions[field.name], field) for field in self._others], ">u4").T
            heads = [head + row.tobytes() for head, row in zip(heads, others, strict=True)]
        return [(head + CHECKSUM.pack(crc32(head, self._seed))).hex() for head in heads]


@lru_cache
def _topic_number(topic: str) -> int:
    return int.from_bytes(blake2b(topic.encode(), digest_size=8).digest())


def position_number(topic: str, partition: int, offset: int) -> int:
    """Return 64 bits for a message of a topic; no two messages of a topic have the same."""
    return _topic_number(topic) ^ (partition % PARTITIONS << OFFSET_BITS | offset % 2**OFFSET_BITS)


def decode(text: str, model: str) -> DecodedId | None:
    """Return what an id holds; None if it is not an id of this model."""
    # fromhex() skips spaces, millions of which would go into the log.
    if not ID_LENGTH <= len(text) <= MAX_LENGTH or (len(text) - ID_LENGTH) % CODE_LENGTH:
        return None
    try:
        content = bytes.fromhex(text)
    except ValueError:
        return None
    head, checksum = content[: -CHECKSUM.size], content[-CHECKSUM.size :]
    if 2 * len(content) != len(text) or checksum != CHECKSUM.pack(crc32(head, crc32(model.encode()))):
        return None
    version, code, _ = HEAD.unpack_from(head)
    return DecodedId(version, (code, *np.frombuffer(head[HEAD.size :], ">u4").tolist()))


def codes(labels: np.ndarray, label: FieldSpec) -> list[int]:
    """Return 32 bits for each label (n,): the bits of a number as float32, the CRC-32 of a category."""
    if label.kind == "category":
        return [crc32(str(category).encode()) for category in labels]
    return np.asarray(labels, np.float32).view(np.uint32).tolist()


def number_of(code: int) -> float:
    """Return the number whose float32 bits a code is."""
    return float(np.array(code, np.uint32).view(np.float32))


def class_names(label: FieldSpec, limit: int) -> dict[int, str]:
    """Return the names of a label's classes by code; empty if there are more than `limit`, or if they are unbounded."""
    values: Any = label.categories
    if label.kind == "bool":
        values = (False, True)
    elif label.kind == "int" and label.at_least is not None and label.at_most is not None:
        values = range(int(label.at_least), int(min(label.at_most, label.at_least + limit)) + 1)
    if len(values) > limit:
        return {}
    texts = [str(value).lower() if label.kind == "bool" else str(value) for value in values]
    return dict(zip(codes(np.array(values), label), texts, strict=True)) if texts else {}
