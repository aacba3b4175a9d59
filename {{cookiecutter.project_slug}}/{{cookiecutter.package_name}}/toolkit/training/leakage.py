"""Leakage: hold-out rows that are training rows too, on which every model looks better than it is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..common.errors import UserError

#: Above this share of the hold-out rows, metrics say nothing about new rows.
MAX_SHARE = 0.01
#: An equal row counts if so many or more were not to be expected by chance, as they are of a few yes-or-no columns.
CHANCE = 0.01
#: Odd, so that the hashes of columns in another order differ.
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
#: What a message shows of a row: its first values, each cut to a length.
SHOWN_VALUES, VALUE_LENGTH = 3, 40


class Leakage(NamedTuple):
    """The positions of hold-out rows that are training rows too, and the position of an equal training row for each."""

    holdout: np.ndarray
    training: np.ndarray


def find(loaded: pd.DataFrame, training: pd.DataFrame, holdout: pd.DataFrame) -> Leakage:
    """Return the hold-out rows that are training rows too, by the content of the columns that all three tables have.

    A row that both parts have more often than `loaded` has it was returned twice. Other equal rows count unless they
    may well be two rows: their expected number, if the columns were independent, is `CHANCE` or more.
    """
    unique = loaded.columns[~loaded.columns.duplicated(keep=False)]
    names = [name for name in unique if name in training and name in holdout]
    fitted, held_out = content(training, holdout, names), content(holdout, training, names)
    # The hold-out rows are fewer, so their hash table is smaller.
    equal = np.flatnonzero(pd.Series(held_out).isin(pd.unique(fitted[pd.Series(fitted).isin(held_out)])))
    if not len(equal):
        return Leakage(equal, equal)
    known = pd.Index(pd.unique(held_out[equal]))
    once, first, second = (
        np.bincount(found[found >= 0], minlength=len(known))
        for found in map(known.get_indexer, (content(loaded, training, names), fitted, held_out))
    )
    row = known.get_indexer(held_out[equal])
    twice = ((once > 0) & (first + second > once))[row]
    found = twice | (_expected(training, holdout.iloc[equal], names) < CHANCE)
    return Leakage(equal[found], _first(known.get_indexer(fitted), len(known))[row[found]])


def check(loaded: pd.DataFrame, training: pd.DataFrame, holdout: pd.DataFrame) -> str:
    """Return a warning, "" if nothing leaks; `UserError` if more than `MAX_SHARE` of the hold-out rows do."""
    found = find(loaded, training, holdout)
    count = len(found.holdout)
    if not count:
        return ""
    share = count / len(holdout)
    row = holdout.iloc[found.holdout[0]]
    values = ", ".join(f"{name}={_short(row[name])}" for name in loaded.columns[:SHOWN_VALUES] if name in row)
    text = (
        f"model/data.py: {count} of {len(holdout)} hold-out rows ({share:.1%}) are training rows too, such as hold-out "
        f"row {found.holdout[0]} and training row {found.training[0]} ({values}). Have split() return each row once "
        "and put equal rows on one side, or drop duplicates in load()."
    )
    if share > MAX_SHARE:
        raise UserError(f"{text} At most {MAX_SHARE:.0%} are allowed: a model looks too good on rows that it has seen.")
    return text


def content(table: pd.DataFrame, other: pd.DataFrame, names: Sequence[Hashable]) -> np.ndarray:
    """Return a hash of each row of a table (n,); values are compared in the types that both tables can have."""
    content = np.zeros(len(table), dtype=np.uint64)
    for name in names:  # one column at a time, since the table may be large
        content *= MULTIPLIER
        content += _hashes(table[name], other[name])
    return content


def _hashes(values: pd.Series, others: pd.Series) -> np.ndarray:
    """Return a hash of each value (n,), the same for equal values; a missing value equals another."""
    if values.dtype != others.dtype:
        values = values.astype(pd.concat([values.head(0), others.head(0)]).dtype)
    if values.dtype == object:
        values = values.map(_text)
    return pd.util.hash_pandas_object(values, index=False).to_numpy()


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        return repr(value.tolist())
    missing = value is None or value is pd.NaT or value is pd.NA or value != value
    return "" if missing else repr(value)


def _expected(training: pd.DataFrame, holdout: pd.DataFrame, names: Sequence[Hashable]) -> np.ndarray:
    """Return how many training rows would equal each hold-out row (n,) by chance, if the columns were independent."""
    expected = np.full(len(holdout), float(len(training)))
    for name in names:
        found, known = pd.factorize(_hashes(holdout[name], training[name]))
        others = pd.Index(known).get_indexer(_hashes(training[name], holdout[name]))
        counts = np.bincount(others[others >= 0], minlength=len(known))
        # Without one of them, which is the equal row itself.
        expected *= np.maximum(counts[found] - 1, 0) / len(training)
    return expected


def _first(positions: np.ndarray, size: int) -> np.ndarray:
    """Return where each of the numbers from 0 to `size` is first; -1 is none of them."""
    first = np.zeros(size, dtype=np.int64)
    where = np.flatnonzero(positions >= 0)[::-1]
    first[positions[where]] = where
    return first


def _short(value: object) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= VALUE_LENGTH else f"{text[: VALUE_LENGTH - 1]}…"
