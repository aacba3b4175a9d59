"""Parity: whether two runtimes predict the same of the same rows, and on which rows they do not."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...contract.columns import Columns
from ...contract.schema import Contract, FieldSpec
from ...version.artifact import TOLERANCE

#: Texts, and keys that are whole numbers, that the training has hardly seen; other texts are made of that of a row.
TEXTS = ("0", "unseen value", "a", " x\t\ny  z ", "It's 50 % off -- Ünï, 東京 😀!")
WHOLE_NUMBERS = ("0", "999999999")


class Difference(NamedTuple):
    """How predictions differ from those expected.

    `by_field` has for each field of a prediction an array (n,): relative above 1, absolute below; infinite where labels
    or texts differ, or where a number is NaN and the other is not.
    """

    by_field: dict[str, np.ndarray]

    @classmethod
    def between(cls, expected: Columns, actual: Columns, contract: Contract) -> Difference:
        """Compare the predictions of two runtimes."""
        return cls({field.name: difference(expected[field.name], actual[field.name]) for field in contract.prediction})

    @property
    def largest(self) -> float:
        """The largest difference of all."""
        return max(float(np.max(array, initial=0)) for array in self.by_field.values())

    @property
    def rows(self) -> np.ndarray:
        """The positions of the rows that differ by more than the tolerance."""
        return np.flatnonzero(np.any([array > TOLERANCE for array in self.by_field.values()], axis=0))


def difference(expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return how much each row of an array (n,) or (n, length) differs: relative above 1, absolute below."""
    if expected.dtype.kind != "f":
        found = np.where(expected == actual, 0.0, np.inf)
    else:
        one, other = expected.astype(np.float64), actual.astype(np.float64)
        with np.errstate(invalid="ignore"):
            found = np.abs(one - other) / np.maximum(1, np.abs(one))
        same = (one == other) | np.isnan(one) & np.isnan(other)
        found = np.nan_to_num(np.where(same, 0, found), nan=np.inf)
    return found.reshape(len(found), -1).max(axis=1, initial=0)


class Edges(NamedTuple):
    """Rows at the edges of a contract, and for each of them the field and the value that it was made for."""

    columns: Columns
    changed: list[tuple[str, Any]]


def edge_rows(contract: Contract, rows: Columns) -> Edges:
    """Return rows at the edges of the contract: the first row, with each extreme value of each field in turn."""
    changed = [(field.name, value) for field in contract.row for value in _extremes(field, rows[field.name])]
    edges = {name: np.repeat(array[:1], len(changed), axis=0) for name, array in rows.items()}
    for position, (name, value) in enumerate(changed):
        edges[name][position] = value
    return Edges(edges, changed)


def _extremes(field: FieldSpec, array: np.ndarray) -> list[Any]:
    usual = array[0]
    if field.is_text:
        # Its capitals are edges, and those beyond ASCII are the harder ones.
        usual = next((text for text in array.tolist() if not text.isascii()), usual)
        texts = field.categories or (WHOLE_NUMBERS if field.whole else _texts(field, usual))
        return [*texts, *([""] if field.nullable else [])]
    limits = [limit for limit in (field.at_least, field.at_most) if limit is not None] if array.ndim == 1 else []
    found = [0.0, 1.0] if field.kind == "bool" else limits or [usual]
    return [*found, *([np.nan] if field.nullable else [])]


def _texts(field: FieldSpec, usual: str) -> list[str]:
    made = [*TEXTS, usual.upper(), usual.lower(), f"{usual}, {usual}!"]
    return [text[: field.max_length] for text in made]
