"""Rows whose labels have arrived: predictions and actual labels, as the owner's metrics take them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..contract.columns import Columns, json_values, take
from ..contract.dataframes import LABEL_TYPES
from ..contract.schema import Contract, FieldSpec
from ..training.dataset import LabelledRows
from ..training.measurement import rows_at
from .label_log import Labels
from .version_counts import LabelledPart


class LabelledSample(NamedTuple):
    """Rows (n,) with their labels, the predictions for them, and their intervals of the window."""

    rows: LabelledRows
    predictions: Columns
    intervals: np.ndarray
    #: Labels that are none of the contract.
    invalid: int = 0

    def __len__(self) -> int:
        return len(self.intervals)

    def at(self, where: np.ndarray, contract: Contract) -> LabelledSample:
        """Return the rows at positions."""
        table = self.rows.table.iloc[where].reset_index(drop=True)
        rows = rows_at(self.rows, where, contract)._replace(table=table)
        return LabelledSample(rows, take(self.predictions, where), self.intervals[where])

    def within(self, intervals: range, contract: Contract) -> LabelledSample:
        """Return the rows of some intervals that follow each other."""
        inside = (self.intervals >= intervals.start) & (self.intervals < intervals.stop)
        return self if inside.all() else self.at(np.flatnonzero(inside), contract)


def join(part: LabelledPart, labels: Labels, contract: Contract) -> LabelledSample:
    """Return rows with the labels of their predictions; those whose labels the contract does not allow are left out."""
    positions = labels.positions(part.numbers)
    found = [labels.values[i] for i in positions.tolist()]
    where = np.array([i for i, values in enumerate(found) if _is_valid(values, contract.labels)], np.int64)
    arrays = [_array([found[i][field.name] for i in where.tolist()], field) for field in contract.labels]
    label = arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1)
    fields = contract.by_name
    table = pd.DataFrame(
        {name: json_values(array[where], fields[name]) for name, array in part.groups.items()}, index=range(len(where))
    )
    return LabelledSample(
        LabelledRows(table, {}, label), take(part.outputs, where), part.intervals[where], len(found) - len(where)
    )


def _is_valid(values: dict[str, Any], fields: Iterable[FieldSpec]) -> bool:
    return all(_allows(field, values.get(field.name)) for field in fields)


def _allows(field: FieldSpec, value: Any) -> bool:
    if field.kind == "category":
        return value in field.categories
    if field.kind == "bool":
        return isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _array(values: list[Any], field: FieldSpec) -> np.ndarray:
    return np.array(values, dtype=LABEL_TYPES.get(field.kind, object))
