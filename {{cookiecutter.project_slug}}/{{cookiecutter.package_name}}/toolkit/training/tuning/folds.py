"""Folds of the training rows, cut as `split()` of `model/data.py` cuts the hold-out rows from them.

If the hold-out rows come after the training rows, so do the rows of a fold on which a model is measured come after
those on which it is fitted. If all rows of a customer are on one side, they are in one fold. Else equal rows are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from ...common.errors import UserError
from ...contract.schema import Contract
from .. import dataset, leakage
from ..dataset import Dataset

FOLDS = 5
#: How probable it may be, as a logarithm, that a split by chance has no value of a column on both sides.
CHANCE = np.log(1e-9)
EXAMPLE = "such as: return sklearn.model_selection.KFold(5).split(rows)"


class Fold(NamedTuple):
    """The positions of the training rows on which a model is fitted, and of those on which it is measured."""

    training: np.ndarray
    validation: np.ndarray


class Folds(NamedTuple):
    """The folds, and in a phrase how they are cut."""

    folds: list[Fold]
    text: str


def make(rows: Dataset, own: Callable[[pd.DataFrame], Any] | None = None) -> Folds:
    """Return the folds of training rows that have their table; `own` is `folds()` of `model/data.py`.

    The hold-out rows only show how they were cut: neither their labels nor their other columns have an influence.
    """
    training, holdout = rows.training.table, rows.holdout.table
    if own:
        folds, how = _own(own(training.copy(deep=False)), len(training)), "by folds() of model/data.py"
    elif name := _order(training, holdout):
        folds, how = _in_order(_ordered(training[name])), f"in the order of {name}"
    elif name := _group(training, holdout):
        folds, how = _grouped(pd.factorize(training[name])[0], rows), f"by {name}"
    else:
        folds, how = _mixed(rows), "at random"
    usable = [fold for fold in folds if _has_every_class(rows.training.label[fold.training], rows.contract)]
    if not usable:
        raise UserError(
            f"The training rows cannot be cut into folds {how}: none has training rows of every class. Give "
            f"model/data.py a function folds(rows), which yields positions for training and validation, {EXAMPLE}"
        )
    return Folds(usable, f"{len(usable)} folds of {len(training)} training rows {how}")


def _own(returned: Any, rows: int) -> list[Fold]:
    """Return the folds that `folds()` returned; `UserError` if they are no pairs of positions."""
    where = "model/data.py: folds()"
    try:
        folds = [Fold(*(np.asarray(part) for part in pair)) for pair in returned]
    except TypeError:
        raise UserError(f"{where} must yield pairs of positions, for training and validation, {EXAMPLE}") from None
    for fold in folds:
        for part in fold:
            if part.ndim != 1 or not len(part) or part.dtype.kind not in "iu" or part.min() < 0 or part.max() >= rows:
                raise UserError(f"{where} must yield positions from 0 to {rows - 1} of the training rows, {EXAMPLE}")
        if len(np.intersect1d(*fold)):
            raise UserError(f"{where} has rows in training and validation of one fold, {EXAMPLE}")
    if not folds:
        raise UserError(f"{where} yields no fold, {EXAMPLE}")
    return folds


def _order(training: pd.DataFrame, holdout: pd.DataFrame) -> str:
    """Return the column by which the hold-out rows come after the training rows, "" if there is none; times first."""
    found = {}
    for name in _shared(training, holdout):
        before, after = _ordered(training[name]), _ordered(holdout[name])
        if before is None or after is None or len(np.unique(before)) <= FOLDS:
            continue
        if before.dtype == after.dtype and before.max() < after.min():
            found[name] = before.dtype.kind
    return next((name for name, kind in found.items() if kind == "M"), next(iter(found), ""))


def _ordered(values: pd.Series) -> Any:
    """Return times or numbers (n,) of a column without missing values, None of every other column."""
    if values.dtype == object or isinstance(values.dtype, pd.StringDtype):
        try:
            values = pd.to_datetime(values, format="ISO8601", utc=True)
        except (TypeError, ValueError):
            return None
    if values.isna().any():
        return None
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert(None)
    if values.dtype.kind == "M":
        return values.to_numpy().astype("datetime64[us]")
    return values.to_numpy().astype(np.float64) if values.dtype.kind in "iuf" else None


def _group(training: pd.DataFrame, holdout: pd.DataFrame) -> str:
    """Return the column none of whose values is on both sides, and not by chance; "" if there is none.

    Of several, it is the one with the fewest values: a customer has several accounts.
    """
    names = _shared(training, holdout)
    # Copies of a row are on one side anyway.
    training, holdout = (_distinct(one, other, names) for one, other in ((training, holdout), (holdout, training)))
    share, found = len(holdout) / (len(training) + len(holdout)), {}
    for name in names:
        try:
            before, after = training[name].value_counts(), holdout[name].value_counts()
        except TypeError:  # vectors
            continue
        if len(before) < 2 or before.index.isin(after.index).any():
            continue
        counts = np.concatenate([before.to_numpy(), after.to_numpy()])
        if np.log(share**counts + (1 - share) ** counts).sum() < CHANCE:
            found[name] = len(before)
    return min(found, key=lambda name: found[name], default="")


def _distinct(table: pd.DataFrame, other: pd.DataFrame, names: list[Any]) -> pd.DataFrame:
    return table[~pd.Series(leakage.content(table, other, names)).duplicated().to_numpy()]


def _shared(training: pd.DataFrame, holdout: pd.DataFrame) -> list[Any]:
    return [name for name in training.columns[~training.columns.duplicated(keep=False)] if name in holdout]


def _in_order(values: np.ndarray) -> list[Fold]:
    """Return folds whose validation rows come after their training rows; equal values are in one part."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = [round(len(values) * i / (FOLDS + 1)) for i in range(1, FOLDS + 1)]
    cuts = np.unique([*np.searchsorted(ordered, ordered[starts], "left"), len(values)])
    cuts = cuts[cuts > 0]
    return [Fold(order[:start], order[start:end]) for start, end in pairwise(cuts)]


def _grouped(groups: np.ndarray, rows: Dataset) -> list[Fold]:
    """Return folds of which each has all rows of a group."""
    count = min(FOLDS, len(np.unique(groups)))
    if _is_stratified(rows):
        cut: Any = StratifiedGroupKFold(count, shuffle=True, random_state=0)
    else:
        cut = GroupKFold(count, shuffle=True, random_state=0)
    return _cut(cut, rows.training.label, groups)


def _mixed(rows: Dataset) -> list[Fold]:
    """Return folds at random; equal rows are in one."""
    table = rows.training.table
    names = _shared(table, table)
    found, first, group = np.unique(leakage.content(table, table, names), return_index=True, return_inverse=True)
    count = min(FOLDS, len(found))
    if count < 2:
        raise UserError("All training rows are equal: make tune needs two folds of different rows")
    # Of each distinct row the first; its copies follow it.
    cut = (StratifiedKFold if _is_stratified(rows) else KFold)(count, shuffle=True, random_state=0)
    fold_of = np.empty(len(found), dtype=int)
    for i, fold in enumerate(_cut(cut, rows.training.label[first])):
        fold_of[fold.validation] = i
    number = fold_of[group]
    return [Fold(np.flatnonzero(number != i), np.flatnonzero(number == i)) for i in range(count)]


def _is_stratified(rows: Dataset) -> bool:
    label = rows.training.label
    if rows.contract.task != "classification" or label.ndim > 1:
        return False
    return bool(pd.Series(label).value_counts().max() >= FOLDS)


def _cut(cut: Any, label: np.ndarray, groups: np.ndarray | None = None) -> list[Fold]:
    with warnings.catch_warnings():  # a class with fewer rows than folds
        warnings.simplefilter("ignore")
        return [Fold(*pair) for pair in cut.split(np.empty(len(label)), label, groups)]


def _has_every_class(label: np.ndarray, contract: Contract) -> bool:
    if contract.task != "classification" or label.ndim > 1:
        return True
    return set(dataset.classes(label).tolist()) >= set(contract.classes)
