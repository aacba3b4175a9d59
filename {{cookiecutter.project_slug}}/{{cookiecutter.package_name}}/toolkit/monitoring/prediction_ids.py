"""Ids of predictions, which say what was predicted by which version.

A label that arrives days later thereby finds its prediction on any worker and any replica, without a look-up:

    version (4 bytes), code of the predicted label (4), random (8), checksum with the model's name (4), as 40 digits

The checksum tells ids of this model from others; it keeps no secret, since the caller has the prediction anyway.
"""

from __future__ import annotations

import struct
from secrets import randbits
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from ..contract.schema import FieldSpec

HEAD, CHECK = struct.Struct(">IIQ"), struct.Struct(">I")
LARGEST = 2**64


class DecodedId(NamedTuple):
    """What an id says: the version, and the code of the label that it predicted."""

    version: int
    code: int


class Ids:
    """Makes the ids of one version's predictions."""

    def __init__(self, model: str, version: int, label: FieldSpec) -> None:
        self._version, self._label, self._seed = version, label, crc32(model.encode())

    def make(self, labels: np.ndarray) -> list[str]:
        """Return an id for each predicted label (n,)."""
        # One draw for all rows: they differ by counting on from it.
        start = randbits(64)
        heads = [
            HEAD.pack(self._version, code, (start + row) % LARGEST)
            for row, code in enumerate(codes(labels, self._label))
        ]
        return [(head + CHECK.pack(crc32(head, self._seed))).hex() for head in heads]


def read(text: str, model: str) -> DecodedId | None:
    """Return what an id says; None if it is no id of this model."""
    try:
        content = bytes.fromhex(text)
    except ValueError:
        return None
    head, check = content[: HEAD.size], content[HEAD.size :]
    if len(head) < HEAD.size or check != CHECK.pack(crc32(head, crc32(model.encode()))):
        return None
    version, code, _ = HEAD.unpack(head)
    return DecodedId(version, code)


def codes(labels: np.ndarray, label: FieldSpec) -> list[int]:
    """Return 32 bits for each label: the bits of a number as float32, a checksum of a word."""
    if label.kind == "category":
        return [crc32(str(word).encode()) for word in labels]
    return np.asarray(labels, np.float32).view(np.uint32).tolist()


def number(code: int) -> float:
    """Return the number that a code stands for."""
    return float(np.array(code, np.uint32).view(np.float32))


def names(label: FieldSpec, at_most: int) -> dict[int, str]:
    """Return the classes of a label as text, by code; none if there are more of them than `at_most`, or no end."""
    values: Any = label.categories
    if label.kind == "bool":
        values = (False, True)
    elif label.kind == "int" and label.at_least is not None and label.at_most is not None:
        values = range(int(label.at_least), int(min(label.at_most, label.at_least + at_most)) + 1)
    if len(values) > at_most:
        return {}
    texts = [str(value).lower() if label.kind == "bool" else str(value) for value in values]
    return dict(zip(codes(np.array(values), label), texts, strict=True)) if texts else {}
