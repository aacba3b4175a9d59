"""Bins: into which parts the values of a column fall, and which share of the training rows fell into each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..contract.schema import FieldSpec

#: The most bins of numbers, besides those of what lies outside of the training, and of words: each is a time series.
MAX_NUMBER_BINS, MAX_CATEGORY_BINS = 10, 20
#: Fewer rows a bin, and their share would be chance; but so many bins there may be.
MIN_BIN_ROWS, MIN_BINS = 40, 5
MISSING_BIN, OTHER_BIN = "missing", "other"


class NumberBins(BaseModel):
    """Bins of numbers: below the first edge, from each edge to the next, and from the last edge on.

    What is no number falls behind these; there `missing` stands where it may occur.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["numbers"] = "numbers"
    names: tuple[str, ...]
    shares: tuple[float, ...] = ()
    edges: tuple[float, ...]
    #: What stands for a vector.
    reduce: Literal["mean", "largest"] | None = None

    @cached_property
    def _edges(self) -> np.ndarray:
        # NaN is sorted behind infinity.
        return np.array([*self.edges, np.inf])

    def values(self, array: np.ndarray) -> np.ndarray:
        """Return one number a row, of shape (n,)."""
        if self.reduce == "mean":
            return array.mean(axis=1, dtype=np.float64)
        return array.max(axis=1) if self.reduce else array

    def find(self, array: np.ndarray) -> np.ndarray:
        """Return the position of each row's bin, of shape (n,)."""
        return np.searchsorted(self._edges, self.values(array), side="right")


class CategoryBins(BaseModel):
    """Bins of words; what the contract does not know falls behind the last."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["categories"] = "categories"
    names: tuple[str, ...]
    shares: tuple[float, ...] = ()
    #: The position of each word's bin.
    positions: dict[str, int]

    @cached_property
    def _positions(self) -> _Positions:
        return _Positions(self.positions, len(self.names))

    def find(self, array: np.ndarray) -> np.ndarray:
        """Return the position of each row's bin, of shape (n,)."""
        return np.fromiter(map(self._positions.__getitem__, array.tolist()), np.intp, len(array))


class _Positions(dict[str, int]):
    def __init__(self, known: dict[str, int], behind: int) -> None:
        super().__init__(known)
        self._behind = behind

    def __missing__(self, word: str) -> int:
        return self._behind


Bins = Annotated[NumberBins | CategoryBins, Field(discriminator="kind")]


def make(column: FieldSpec, array: np.ndarray) -> NumberBins | CategoryBins:
    """Return bins for a column of shape (n,), of a vector (n, length), with the shares of its rows."""
    bins = _words(column, array) if column.kind == "category" else _numbers(column, array)
    return bins.model_copy(update={"shares": shares(bins, bins.find(array))})


def shares(bins: NumberBins | CategoryBins, positions: np.ndarray) -> tuple[float, ...]:
    """Return the share of the rows at some positions in each bin.

    Half a row is added to each bin, so that none is 0 (Krichevsky and Trofimov, 1981).
    """
    rows = np.bincount(positions, minlength=len(bins.names))[: len(bins.names)] + 0.5
    return tuple((rows / rows.sum()).tolist())


def psi(now: Sequence[float], reference: Sequence[float]) -> float:
    """Return the population stability index of two lists of shares: 0 if they are equal; 0.25 is called a shift."""
    p, q = np.array(now), np.array(reference)
    return float(((p - q) * np.log(p / q)).sum())


def _at_most(limit: int, rows: int) -> int:
    return min(limit, max(MIN_BINS, rows // MIN_BIN_ROWS))


def _words(column: FieldSpec, array: np.ndarray) -> CategoryBins:
    kept, limit = column.categories, _at_most(MAX_CATEGORY_BINS, len(array))
    if len(kept) > limit:
        most = Counter(array.tolist()).most_common(limit - 1)
        common = {word for word, rows in most if rows >= MIN_BIN_ROWS}
        kept = tuple(word for word in kept if word in common)
    further = [OTHER_BIN] * (len(kept) < len(column.categories)) + [MISSING_BIN] * column.nullable
    # A choice of such a name means the same.
    names = tuple(dict.fromkeys([*kept, *further]))
    positions = {word: names.index(word if word in kept else OTHER_BIN) for word in column.categories}
    if column.nullable:
        positions[""] = names.index(MISSING_BIN)
    return CategoryBins(names=names, positions=positions)


def _numbers(column: FieldSpec, array: np.ndarray) -> NumberBins:
    missing = (MISSING_BIN,) * column.nullable
    if column.kind == "bool":
        return NumberBins(names=("false", "true", *missing), edges=(1,))
    bins = NumberBins(names=("any", *missing), edges=())
    if column.kind == "vector":
        # Chances have the same mean in every row.
        bins = bins.model_copy(update={"reduce": "largest" if column.name == "probabilities" else "mean"})
    values = bins.values(array).astype(np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return bins
    starts, whole = _starts(values), column.kind == "int"
    names = [f"<{_text(starts[0])}", *_ranges(starts, values.max(), whole), f">{_text(values.max())}"]
    # The largest value belongs to the last bin but one.
    edges = (*starts.tolist(), float(np.nextafter(values.max(), np.inf)))
    # In the order of the numbers, wherever they are sorted as text.
    ordered = (f"{i:02} {name}" for i, name in enumerate(names))
    return bins.model_copy(update={"names": (*ordered, *missing), "edges": edges})


def _starts(values: np.ndarray) -> np.ndarray:
    """Return the smallest number of each bin: each number if they are few, else quantiles."""
    count = _at_most(MAX_NUMBER_BINS, len(values))
    distinct = np.unique(values)
    if len(distinct) <= count:
        return distinct
    return np.unique(np.quantile(values, np.arange(count) / count, method="higher"))


def _ranges(starts: np.ndarray, largest: float, whole: bool) -> list[str]:
    ends = np.append(starts[1:] - 1 if whole else starts[1:], largest)
    return [
        _text(start) if start == end else f"{_text(start)}..{_text(end)}"
        for start, end in zip(starts, ends, strict=True)
    ]


def _text(number: float) -> str:
    return f"{number:.0f}" if number == round(number) and abs(number) < 1e9 else f"{number:.4g}"
