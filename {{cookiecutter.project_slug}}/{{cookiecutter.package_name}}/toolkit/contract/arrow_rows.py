"""Arrow batches in, columns out: the check of files and streams of any size, with the results of `dataframes`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from . import arrow_values, dataframes, series
from .columns import Columns
from .dataframes import CheckResult
from .numbers import Checked, within
from .schema import Contract, FieldSpec, Violation


def check_features(batch: pa.RecordBatch | pa.Table, contract: Contract) -> CheckResult:
    """Check the features of a batch; columns that the contract does not know are ignored.

    What becomes of a row does not depend on the others in its batch. `batch` may be a Table too.
    """
    batch = _single(batch)
    names = Counter(batch.schema.names)
    columns: Columns = {}
    violations: list[Violation] = []
    for field in contract.row:
        if violation := dataframes.column_violation(names, field, contract.row):
            violations.append(violation)
            continue
        columns[field.name], invalid, values = _check(batch, field, names)
        violations += _violations(field, invalid, values)
    return CheckResult(columns, violations)


def _single(batch: pa.RecordBatch | pa.Table) -> pa.RecordBatch:
    """Return a table as one batch."""
    if isinstance(batch, pa.RecordBatch):
        return batch
    arrays = [column.combine_chunks() if column.num_chunks != 1 else column.chunk(0) for column in batch.columns]
    return pa.record_batch(arrays, schema=batch.schema)


def _check(batch: pa.RecordBatch, field: FieldSpec, names: Counter[str]) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return the array of a field, the mask of its violations, and its column.

    This is a list of columns where each element of a vector has one, and None where there is none.
    """
    if field.name in names:
        column = arrow_values.column(batch, field.name)
        return *arrow_values.check(column, field), column
    if field.length is not None and all(name in names for name in field.columns):
        elements = [arrow_values.column(batch, name) for name in field.columns]
        return *_check_elements(elements, field), elements
    default = series.check(dataframes.default_values(field, 1), field)
    array, invalid = (part[np.zeros(len(batch), np.int64)] for part in default)
    return array, invalid, None


def _check_elements(elements: list[pa.Array], field: FieldSpec) -> Checked:
    """Check vectors whose elements have a column each; a vector is missing where all of them are."""
    numbers = np.column_stack([arrow_values.numbers(values)[0] for values in elements])
    missing = np.isnan(numbers).all(axis=1)
    valid = within(numbers, field).all(axis=1)
    invalid = np.where(missing, not field.nullable, ~valid)
    numbers[invalid] = np.nan
    return numbers.astype(np.float32), invalid


def _violations(field: FieldSpec, invalid: np.ndarray, values: Any) -> list[Violation]:
    if not invalid.any():
        return []
    where = np.flatnonzero(invalid)
    is_numeric = isinstance(values, pa.Array) and arrow_values.is_numeric(values.type)
    reason = dataframes.reason(field, is_numeric=is_numeric)
    found = [field.default] * len(where) if values is None else _plain_values(values, where)
    return [Violation(row, field.name, value, reason) for row, value in zip(where.tolist(), found, strict=True)]


def _plain_values(values: Any, where: np.ndarray) -> list[Any]:
    """Return the values at some rows as plain Python, for messages; None where they are missing."""
    if isinstance(values, list):
        stacked = np.column_stack([arrow_values.numbers(arrow_values.take(element, where))[0] for element in values])
        return [None if np.isnan(row).all() else row.tolist() for row in stacked]
    taken = arrow_values.take(values, where)
    if arrow_values.is_plain(values.type):
        return [None if value != value else value for value in taken.to_pylist()]
    return [dataframes.plain(value) for value in arrow_values.as_series(taken)]
