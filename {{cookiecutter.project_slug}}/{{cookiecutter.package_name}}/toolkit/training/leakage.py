"""Leakage: hold-out rows that are training rows too, on which every model looks better than it is."""

from __future__ import annotations

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
    names = [name for name in loaded.columns if name in training and name in holdout]
    ends = len(loaded), len(loaded) + len(training)
    content = np.zeros(ends[1] + len(holdout), dtype=np.uint64)
    expected = np.full(len(holdout), float(len(training)))
    for name in names:  # one column at a time, since the table may be large
        codes = _codes(pd.concat([part[name] for part in (loaded, training, holdout)], ignore_index=True))
        content = content * MULTIPLIER + pd.util.hash_array(codes)
        expected *= _share(codes[ends[0] : ends[1]], codes[ends[1] :])
    rows = pd.factorize(content)[0]
    once, fitted, held_out = np.split(rows, ends)
    count_once, count_fitted, count_held_out = (
        np.bincount(part, minlength=rows.max(initial=0) + 1) for part in (once, fitted, held_out)
    )
    twice = (count_once > 0) & (count_fitted + count_held_out > count_once)
    equal = count_fitted[held_out] > 0
    found = np.flatnonzero(equal & (twice[held_out] | (expected < CHANCE)))
    first = np.zeros(len(count_fitted), dtype=np.int64)
    first[fitted[::-1]] = np.arange(len(fitted))[::-1]
    return Leakage(found, first[held_out[found]])


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


def _codes(values: pd.Series) -> np.ndarray:
    """Return values (n,) as whole numbers, the same for equal values; a missing value equals another."""
    if values.dtype == object:
        values = values.map(_content)
    return pd.factorize(values, use_na_sentinel=False)[0]


def _content(value: object) -> object:
    if isinstance(value, np.ndarray):
        return repr(value.tolist())
    return repr(value) if isinstance(value, list | dict | set) else value


def _share(training: np.ndarray, holdout: np.ndarray) -> np.ndarray:
    """Return the share of the training rows that have the value of each hold-out row, not counting one of them."""
    counts = np.bincount(training, minlength=int(holdout.max(initial=0)) + 1)
    return np.maximum(counts[holdout] - 1, 0) / len(training)


def _short(value: object) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= VALUE_LENGTH else f"{text[: VALUE_LENGTH - 1]}…"
