"""One batch of rows in, its predictions and its rejected rows out."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ..contract import arrow_rows, arrow_values
from ..contract.columns import take
from ..contract.schema import Violation
from ..monitoring.bin_counts import BinCounts
from ..version.artifact import Artifact
from .predictions import prediction_arrays, prediction_fields

#: Suffix of an input column whose name is that of an added column.
GIVEN = "_given"
#: Columns that scored rows have after the fields of the prediction.
ORIGIN_FIELDS = [pa.field("version", pa.int64()), pa.field("time", pa.timestamp("us", "UTC"))]
#: Columns that rejected rows have after the input columns: the file, the row's position in it, counted from 0, and of
#: each of its violations, with a semicolon between them, the field, the value and the reason.
REJECT_FIELDS = [
    pa.field("file", pa.string()),
    pa.field("row", pa.int64()),
    *(pa.field(name, pa.string()) for name in ("column", "value", "reason")),
]


class ScoredBatch(NamedTuple):
    """The rows of a batch that were scored, and those that were rejected, None if there are none."""

    scored: pa.RecordBatch
    rejected: pa.RecordBatch | None
    #: The scored rows by bin.
    bins: BinCounts


class Scorer(NamedTuple):
    """A version that scores batches; several threads may do so at once."""

    artifact: Artifact
    version: int
    #: The version's digest.
    digest: str
    #: When the job began, with an offset.
    time: datetime

    def scored_schema(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema of scored rows of a file with this schema."""
        return _extended(schema, [*prediction_fields(self.artifact.contract), *ORIGIN_FIELDS])

    def rejected_schema(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema of rejected rows of a file with this schema."""
        return _extended(schema, REJECT_FIELDS)

    def score(self, batch: pa.RecordBatch, file: str = "", first_row: int = 0) -> ScoredBatch:
        """Score the rows of a batch whose first row has the position `first_row` in a file."""
        contract = self.artifact.contract
        columns, violations = checked = arrow_rows.check_features(batch, contract)
        rejected = None
        if violations:
            valid = checked.valid_rows(len(batch))
            rejected = self._rejected(batch, violations, np.flatnonzero(~valid), file, first_row)
            batch, columns = _rows(batch, np.flatnonzero(valid)), take(columns, valid)
        schema = self.scored_schema(batch.schema)
        if not len(batch):
            return ScoredBatch(_empty(schema), rejected, BinCounts())
        predictions = self.artifact.runtime.score(columns)
        origin = [
            pa.repeat(pa.scalar(value, field.type), len(batch))
            for value, field in zip((self.version, self.time), ORIGIN_FIELDS, strict=True)
        ]
        arrays = [*batch.columns, *prediction_arrays(predictions, contract), *origin]
        bins = BinCounts.of(self.artifact.profile, columns, predictions)
        return ScoredBatch(pa.record_batch(arrays, schema=schema), rejected, bins)

    def _rejected(
        self, batch: pa.RecordBatch, violations: list[Violation], rows: np.ndarray, file: str, first_row: int
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
        arrays = [pa.array(values, field.type) for values, field in zip(added, REJECT_FIELDS, strict=True)]
        return pa.record_batch([*_rows(batch, rows).columns, *arrays], schema=self.rejected_schema(batch.schema))


def _rows(batch: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
    return pa.record_batch([arrow_values.take(column, rows) for column in batch.columns], schema=batch.schema)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)


def _extended(schema: pa.Schema, added: list[pa.Field]) -> pa.Schema:
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
