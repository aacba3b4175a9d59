"""One batch of rows in, its predictions and its rejected rows out."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ..contract import arrow_rows
from ..contract.columns import take
from ..monitoring.bin_counts import BinCounts
from ..version.artifact import Artifact
from . import rejects
from .predictions import prediction_arrays, prediction_fields
from .rejects import extended, select

#: Columns that scored rows have after the fields of the prediction.
ORIGIN_FIELDS = [pa.field("version", pa.int64()), pa.field("time", pa.timestamp("us", "UTC"))]


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
        return extended(schema, [*prediction_fields(self.artifact.contract), *ORIGIN_FIELDS])

    def rejected_schema(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema of rejected rows of a file with this schema."""
        return rejects.rejected_schema(schema)

    def score(self, batch: pa.RecordBatch, file: str = "", first_row: int = 0) -> ScoredBatch:
        """Score the rows of a batch whose first row has the position `first_row` in a file."""
        contract = self.artifact.contract
        columns, violations = checked = arrow_rows.check_features(batch, contract)
        rejected = None
        if violations:
            valid = checked.valid_rows(len(batch))
            rejected = rejects.rejected_rows(batch, violations, np.flatnonzero(~valid), file, first_row)
            batch, columns = select(batch, np.flatnonzero(valid)), take(columns, valid)
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


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)
