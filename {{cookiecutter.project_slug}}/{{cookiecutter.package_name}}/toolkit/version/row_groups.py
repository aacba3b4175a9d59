"""Groups of rows that are equal to a model of trees: one row of each is scored, and its prediction is that of all.

A tree compares numbers with thresholds. Rows that lie on the same side of every threshold, and have the same
categories, go the same way through every tree and get the same prediction, bit for bit. The fewer features and
thresholds a model has, and the more rows there are, the fewer of them differ. The ONNX file of a model has its
thresholds, and its categories, as metadata, see `training/export/thresholds.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, repeat
from typing import Any, NamedTuple

import numpy as np

from ..contract.columns import Columns
from ..contract.schema import Contract

#: The entry of the metadata.
METADATA = "toolkit.thresholds"
#: Groups are numbered by 64 bits.
MAX_GROUPS = 2**63
#: Up to here, comparing each number with every threshold is faster than searching among them.
MAX_COMPARED = 200

Thresholds = Mapping[str, Sequence[Any]]
"""What a model tells apart in each column that it uses: by which of these float32 numbers, ascending, a number exceeds,
or by which of these categories a text is."""
Coding = Callable[[np.ndarray], np.ndarray]
"""Values (n,) in, whole numbers (n,) out: the same for values that are equal to the model."""


class RowGroups(NamedTuple):
    """The positions of the rows to score (k,), and for each row (n,) the number of its group among these."""

    scored: np.ndarray
    number: np.ndarray


class EqualRows:
    """Groups rows by the thresholds of a model."""

    def __init__(self, codings: list[tuple[str, int, int, Coding]]) -> None:
        #: For each column that the model uses: its field, its place in it, the number of codes, and what gives them.
        self._codings = codings

    @classmethod
    def of(cls, contract: Contract, metadata: str | None) -> EqualRows | None:
        """Return what groups the rows of a contract; None if the model has no thresholds, too many, or damaged ones."""
        thresholds = _read(metadata, contract) if metadata else None
        if not thresholds:
            return None
        codings, groups = [], 1
        for field in contract.row:
            for place, name in enumerate(field.columns):
                if name not in thresholds:
                    continue
                count, coding = (_categories if field.is_text else _numbers)(thresholds[name])
                codings.append((field.name, place, count, coding))
                groups *= count
        return cls(codings) if groups <= MAX_GROUPS else None

    def groups(self, columns: Columns) -> RowGroups:
        """Return the groups of some rows, one or more."""
        rows = len(next(iter(columns.values())))
        keys = np.zeros(rows, np.uint64)
        for name, place, count, coding in self._codings:
            keys *= np.uint64(count)
            keys += coding(columns[name].reshape(rows, -1)[:, place]).astype(np.uint64)
        order = np.argsort(keys)
        ordered = keys[order]
        is_first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        number = np.empty(rows, np.int64)
        number[order] = np.cumsum(is_first) - 1
        return RowGroups(order[is_first], number)


def _read(metadata: str, contract: Contract) -> Thresholds | None:
    """Return the thresholds in metadata; None if they are none for these columns: groups by them would be wrong."""
    try:
        found = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    is_text = {name: field.is_text for field in contract.row for name in field.columns}
    if not isinstance(found, dict) or not found.keys() <= is_text.keys():
        return None
    return found if all(_are_valid(values, is_text=is_text[name]) for name, values in found.items()) else None


def _are_valid(values: Any, *, is_text: bool) -> bool:
    """Whether values are categories, or numbers in ascending order."""
    types = (str,) if is_text else (int, float)
    if not isinstance(values, list) or not all(type(value) in types for value in values):
        return False
    if is_text:
        return True
    return not any(map(math.isnan, values)) and all(first < second for first, second in pairwise(values))


def _categories(categories: Sequence[str]) -> tuple[int, Coding]:
    known = {category: code for code, category in enumerate(categories)}
    others, dtype = len(known), np.min_scalar_type(len(known))
    # Not the categories of the contract: a model may know fewer of them, and texts of keys that are not listed there.
    return others + 1, lambda texts: np.fromiter(map(known.get, texts.tolist(), repeat(others)), dtype, len(texts))


def _numbers(thresholds: Sequence[float]) -> tuple[int, Coding]:
    edges = np.array(thresholds, np.float32)

    def codes(numbers: np.ndarray) -> np.ndarray:
        if len(edges) > MAX_COMPARED:
            found = np.searchsorted(edges, numbers)
        else:
            found, exceeds = np.zeros(len(numbers), np.uint8), np.empty(len(numbers), bool)
            numbers = np.ascontiguousarray(numbers)
            for edge in edges:
                np.greater(numbers, edge, out=exceeds)
                found += exceeds.view(np.uint8)
        found[np.isnan(numbers)] = len(edges) + 1  # trees know a way of its own for it
        return found

    return len(edges) + 2, codes
