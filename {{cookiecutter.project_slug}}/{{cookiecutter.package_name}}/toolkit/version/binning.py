"""Bins: the parts of a field's range, and the share of the training rows in each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Literal, TypeVar, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..contract import times
from ..contract.schema import FieldSpec
from . import tokens
from .drift import with_half_rows
from .large_arrays import few_distinct, some

#: The most bins of numbers (besides the two outside of the training's range) and of categories: each is a time series.
MAX_NUMBER_BINS, MAX_CATEGORY_BINS = 10, 20
#: With fewer training rows in a bin, its share would be noise; but a field may have `MIN_BINS` in any case.
MIN_BIN_ROWS, MIN_BINS = 40, 5
MISSING_BIN, OTHER_BIN, RARE_BIN, UNSEEN_BIN = "missing", "other", "rare", "unseen"
#: Keys that are known; the rarest of more of them count as unseen.
MAX_KNOWN_KEYS = 100_000


class NumberBins(BaseModel):
    """Bins of numbers: below the first edge, from each edge to the next, and from the last edge on.

    NaN gets the position after the last bin, which is that of `missing` if the field may be missing.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["numbers"] = "numbers"
    names: tuple[str, ...]
    shares: tuple[float, ...] = ()
    edges: tuple[float, ...]
    #: The number that stands for a vector ("mean", "max"), a date or time ("weights") or a text.
    reduce: Literal["mean", "max", "weights", "length", "unseen"] | None = None
    #: Of the parts of a date or time, see `times.WEIGHTS`.
    weights: tuple[float, ...] = ()
    #: The tokens that count as seen, in alphabetical order.
    vocabulary: tuple[str, ...] = ()

    @cached_property
    def _edges(self) -> np.ndarray:
        return np.array([*self.edges, np.inf])

    @cached_property
    def _float32_edges(self) -> np.ndarray:
        """The least float32 from each edge on: the same float32 numbers lie below it as below the edge."""
        with np.errstate(over="ignore"):
            nearest = self._edges.astype(np.float32)
        return np.where(nearest < self._edges, np.nextafter(nearest, np.float32(np.inf)), nearest)

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return frozenset(self.vocabulary)

    def values(self, array: np.ndarray) -> np.ndarray:
        """Return one number for each row, of shape (n,)."""
        if self.reduce == "mean":
            return array.mean(axis=1, dtype=np.float64)
        if self.reduce == "weights":
            return np.asarray(array.astype(np.float64) @ np.array(self.weights))
        if self.reduce == "length":
            return tokens.lengths(array)
        if self.reduce == "unseen":
            return tokens.unseen(array, self._vocabulary)
        return array.max(axis=1) if self.reduce else array

    def assign(self, array: np.ndarray) -> np.ndarray:
        """Return the position of each row's bin, of shape (n,)."""
        values = np.ascontiguousarray(self.values(array))
        edges = self._float32_edges if values.dtype == np.float32 else self._edges
        # A comparison with each edge is far faster than a search in the edges. NaN is below none of them.
        positions = np.full(len(values), len(edges), np.min_scalar_type(len(edges)))
        below = np.empty(len(values), bool)
        for edge in edges:
            np.less(values, edge, out=below)
            positions -= below.view(np.uint8)
        return positions


class CategoryBins(BaseModel):
    """Bins of categories and keys.

    Values without a position get that of the bin `unseen`, without one the position after the last bin.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["categories"] = "categories"
    names: tuple[str, ...]
    shares: tuple[float, ...] = ()
    #: The position of the bin of each category; of keys, those of the training rows.
    positions: dict[str, int]
    has_unseen: bool = False

    @cached_property
    def _positions(self) -> _Positions:
        unknown = self.names.index(UNSEEN_BIN) if self.has_unseen else len(self.names)
        return _Positions(self.positions, unknown)

    def assign(self, array: np.ndarray) -> np.ndarray:
        """Return the position of each row's bin, of shape (n,)."""
        characters = "".join(map(self._positions.__getitem__, array.tolist()))
        return np.frombuffer(characters.encode("utf-32-le"), "<u4")


class _Positions(dict[str, str]):
    """Positions as characters: numpy takes a text of them faster than that many integers."""

    def __init__(self, known: dict[str, int], unknown: int) -> None:
        super().__init__({category: chr(position) for category, position in known.items()})
        self._unknown = chr(unknown)

    def __missing__(self, category: str) -> str:
        return self._unknown


AnyBins = TypeVar("AnyBins", bound=NumberBins | CategoryBins)
Bins = Annotated[NumberBins | CategoryBins, Field(discriminator="kind")]


def make(field: FieldSpec, array: np.ndarray) -> NumberBins | CategoryBins:
    """Return bins for a field's array (n,), of a vector (n, length), with the shares of its rows."""
    makers: dict[str, Callable[[FieldSpec, np.ndarray], NumberBins | CategoryBins]] = {
        "category": _category_bins,
        "key": _key_bins,
    }
    return with_shares(makers.get(field.kind, _number_bins)(field, array), array)


def make_unseen(field: FieldSpec, array: np.ndarray) -> NumberBins:
    """Return bins for the share of a text's tokens that no training row (n,) has."""
    names = ("0 none", "1 to 5%", "2 to 20%", "3 to 50%", "4 to 100%", *([MISSING_BIN] if field.nullable else []))
    return NumberBins(
        names=names, edges=(1e-9, 0.05, 0.2, 0.5), reduce="unseen", vocabulary=tuple(tokens.vocabulary(array))
    )


def with_shares(bins: AnyBins, array: np.ndarray) -> AnyBins:
    """Return bins with the shares of an array's rows."""
    return cast("AnyBins", bins.model_copy(update={"shares": with_half_rows(count(bins, bins.assign(array)))}))


def field_of(name: str) -> str:
    """Return the field of a feature: a text has a second one, for its tokens."""
    return name.partition("/")[0]


def count(bins: NumberBins | CategoryBins, positions: np.ndarray) -> np.ndarray:
    """Return how many rows at some positions are in each bin; those at the position after the last bin are in none."""
    return np.bincount(positions, minlength=len(bins.names))[: len(bins.names)]


def _max_bins(limit: int, rows: int) -> int:
    return min(limit, max(MIN_BINS, rows // MIN_BIN_ROWS))


def _category_bins(field: FieldSpec, array: np.ndarray) -> CategoryBins:
    kept, limit = field.categories, _max_bins(MAX_CATEGORY_BINS, len(array))
    if len(kept) > limit:
        most = Counter(array.tolist()).most_common(limit - 1)
        common = {category for category, rows in most if rows >= MIN_BIN_ROWS}
        kept = tuple(category for category in kept if category in common)
    names = list(kept)
    if len(kept) < len(field.categories):
        names.append(OTHER_BIN)
    if field.nullable:
        names.append(MISSING_BIN)
    # A category may have the name of one of these two bins, and shares it then.
    names = list(dict.fromkeys(names))
    positions = {category: names.index(category if category in kept else OTHER_BIN) for category in field.categories}
    if field.nullable:
        positions[""] = names.index(MISSING_BIN)
    return CategoryBins(names=tuple(names), positions=positions)


def _key_bins(field: FieldSpec, array: np.ndarray) -> CategoryBins:
    """Return one bin for each frequent key, one for the others of the training rows, and one for all others."""
    found = Counter(array.tolist())
    found.pop("", None)
    most, limit = found.most_common(MAX_KNOWN_KEYS), _max_bins(MAX_CATEGORY_BINS, len(array)) - 2
    frequent = [key for key, rows in most[:limit] if rows >= MIN_BIN_ROWS]
    # A key may have the name of one of these bins, and shares it then.
    names = list(dict.fromkeys([*frequent, RARE_BIN, UNSEEN_BIN, *([MISSING_BIN] if field.nullable else [])]))
    positions = {key: names.index(RARE_BIN) for key, _ in most} | {key: names.index(key) for key in frequent}
    if field.nullable:
        positions[""] = names.index(MISSING_BIN)
    return CategoryBins(names=tuple(names), positions=positions, has_unseen=True)


def _number_bins(field: FieldSpec, array: np.ndarray) -> NumberBins:
    missing = (MISSING_BIN,) if field.nullable else ()
    if field.kind == "bool":
        return NumberBins(names=("false", "true", *missing), edges=(1,))
    bins = NumberBins(names=("any", *missing), edges=())
    if field.kind in ("vector", "map"):
        # The mean of probabilities is the same in every row.
        bins = bins.model_copy(update={"reduce": "max" if field.name == "probabilities" else "mean"})
    elif field.is_time:
        bins = bins.model_copy(update={"reduce": "weights", "weights": times.WEIGHTS[field.kind]})
    elif field.is_text:
        bins = bins.model_copy(update={"reduce": "length"})
    if field.kind in ("date", "datetime"):
        return bins  # days go by, so later rows would drift and be outliers in any case
    values = bins.values(array).astype(np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return bins
    starts, whole = _starts(values), field.kind in ("int", "text")
    names = [f"<{_text(starts[0])}", *_ranges(starts, np.max(values), whole), f">{_text(np.max(values))}"]
    # The largest value belongs to the last bin but one.
    edges = (*starts.tolist(), float(np.nextafter(np.max(values), np.inf)))
    # Numbered, so that they keep their order where they are sorted as text.
    ordered = (f"{i:02} {name}" for i, name in enumerate(names))
    return bins.model_copy(update={"names": (*ordered, *missing), "edges": edges})


def _starts(values: np.ndarray) -> np.ndarray:
    """Return the smallest number of each bin: each number if they are few, else quantiles."""
    count = _max_bins(MAX_NUMBER_BINS, len(values))
    distinct = few_distinct(values, count)
    if distinct is not None:
        return distinct
    starts = np.quantile(some(values), np.arange(count) / count, method="higher")
    starts[0] = values.min()
    return np.unique(starts)


def _ranges(starts: np.ndarray, maximum: float, whole: bool) -> list[str]:
    ends = np.append(starts[1:] - 1 if whole else starts[1:], maximum)
    return [
        _text(start) if start == end else f"{_text(start)}..{_text(end)}"
        for start, end in zip(starts, ends, strict=True)
    ]


def _text(number: float) -> str:
    return f"{number:.0f}" if number == round(number) and abs(number) < 1e9 else f"{number:.4g}"
