"""An order of rows in which similar ones are neighbours: trees whose thresholds are not known score them faster.

A processor guesses which way a branch goes by the rows before. Where these are in random order, wrong guesses take most
of the time of an ensemble of trees. The prediction for a row does not depend on the other rows.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ..contract.columns import Columns
from ..contract.schema import Contract, FieldSpec
from .row_groups import RowGroups

#: Fewer rows are scored as they come, and those of a smaller model: ordering them would take what it saves.
MIN_ROWS, MIN_BYTES = 1000, 30_000
#: Numbers are told apart by so many bins, which are quantiles of so many rows.
BINS, SAMPLE_ROWS = 16, 1000
#: Further features are not looked at when the rows are in more groups than this.
MAX_GROUPS = 2**24


def similar_rows(columns: Columns, contract: Contract) -> RowGroups:
    """Return all rows as groups of one, ordered by the first feature, among similar ones by the next, and so on.

    Texts and keys do not count.
    """
    order = np.argsort(_keys(columns, contract))
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return RowGroups(order, number)


def _keys(columns: Columns, contract: Contract) -> np.ndarray:
    rows = len(columns[contract.row[0].name])
    keys, groups = np.zeros(rows, np.uint32), 1
    for field in contract.row:
        if field.is_text and not field.categories:
            continue
        for values in columns[field.name].reshape(rows, -1).T:
            codes, count = _categories(values, field) if field.is_text else _bins(values)
            if groups * count > MAX_GROUPS:
                return keys
            keys, groups = keys * np.uint32(count) + codes.astype(np.uint32), groups * count
    return keys


def _categories(values: np.ndarray, field: FieldSpec) -> tuple[np.ndarray, int]:
    """Return the number of each category (n,), 0 for a missing one, and how many numbers there are."""
    codes = defaultdict(int, {category: i for i, category in enumerate(field.categories, 1)})
    return np.fromiter(map(codes.__getitem__, values.tolist()), np.uint32, len(values)), len(field.categories) + 1


def _bins(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the bin of each number (n,), the last for NaN, and how many bins there are."""
    sample = np.sort(values[:: max(1, len(values) // SAMPLE_ROWS)])
    sample = sample[~np.isnan(sample)]
    edges = np.unique(sample[np.arange(1, BINS) * len(sample) // BINS]) if len(sample) else sample
    return np.searchsorted(edges, values), len(edges) + 1
