"""Rejected rows: the input columns, the place of each row, and what is wrong with it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ..contract import arrow_values
from ..contract.schema import Violation

#: Suffix of an input column whose name is that of an added column.
GIVEN = "_given"
#: Columns that rejected rows have after the input columns: the file, the row's position in it, counted from 0, and of
#: each of its violations, with a semicolon between them, the field, the value and the reason.
FIELDS = [
    pa.field("file", pa.string()),
    pa.field("row", pa.int64()),
    *(pa.field(name, pa.string()) for name in ("column", "value", "reason")),
]


def rejected_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of rejected rows of a file with this schema."""
    return extended(schema, FIELDS)


def rejected_rows(
    batch: pa.RecordBatch, violations: list[Violation], rows: np.ndarray, file: str, first_row: int
) -> pa.RecordBatch:
    """Return the rows at some positions of a batch with what is wrong with them."""
    found: dict[int | None, list[Violation]] = {}
    for violation in violations:
        found.setdefault(violation.row, []).append(violation)
    of_rows = [found.get(row, []) + found.get(None, []) for row in rows.tolist()]
    added = [
        [file] * len(rows),
        rows + first_row,
        ["; ".join(violation.field for violation in row) for row in of_rows],
        ["; ".join(violation.value_text for violation in row) for row in of_rows],
        ["; ".join(violation.reason for violation in row) for row in of_rows],
    ]
    arrays = [pa.array(values, field.type) for values, field in zip(added, FIELDS, strict=True)]
    return pa.record_batch([*select(batch, rows).columns, *arrays], schema=rejected_schema(batch.schema))


def select(batch: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
    """Return the rows at some positions of a batch."""
    return pa.record_batch([arrow_values.take(column, rows) for column in batch.columns], schema=batch.schema)


def extended(schema: pa.Schema, added: list[pa.Field]) -> pa.Schema:
    """Return the input's columns and the added ones; an input column whose name is taken gets a suffix."""
    new = {field.name for field in added}
    taken = new | set(schema.names)
    fields = []
    for field in schema:
        name = field.name
        if name in new:
            while name in taken:
                name += GIVEN
            taken.add(name)
        fields.append(field.with_name(name))
    return pa.schema([*fields, *added])
