"""The rejected rows of files of labels, with the reasons, in one CSV file."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

import numpy as np
import pyarrow as pa

from ..batch import formats, rejects
from ..batch.locations import Location, pending
from ..contract.schema import Violation
from .label_files import TIME, LabelBatch, LabelFiles
from .label_index import LabelIndex, numbers_of

AMBIGUOUS = "another row has another label for it; keep one of them"


def write_rejects(files: LabelFiles, index: LabelIndex, batches: Iterable[LabelBatch], target: Location) -> None:
    """Write the rows that are invalid, or contradict each other, to a file; their other columns are left out."""
    names = [files.reference.name, *(label.name for label in files.labels), *([TIME] if files.timed else [])]
    schema = rejects.rejected_schema(pa.schema([pa.field(name, pa.string()) for name in dict.fromkeys(names)]))
    with pending(target) as file:
        with ExitStack() as stack:
            write = formats.writer(file.path, formats.REJECTS, schema, stack)
            for batch in batches:
                violations = batch.violations + _ambiguous(batch, files, index)
                rows = np.unique(np.array([violation.row for violation in violations], np.int64))
                chosen = batch.rows.select(list(dict.fromkeys(names)))
                rejected = rejects.rejected_rows(chosen, violations, rows, batch.file, batch.first_row)
                write(_as_text(rejected, schema))
        file.publish()


def _ambiguous(batch: LabelBatch, files: LabelFiles, index: LabelIndex) -> list[Violation]:
    """Return the valid rows whose label contradicts that of another row."""
    rows = np.flatnonzero(batch.valid)
    positions = index.find(numbers_of(batch.references[rows], files.reference), batch.time[rows])
    values = batch.rows.column(files.reference.name)
    return [
        Violation(row, files.reference.name, values[row].as_py(), AMBIGUOUS)
        for row in rows[index.ambiguous[positions]].tolist()
    ]


def _as_text(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows with text in the input's columns: those of two files may have two types."""
    columns = [
        pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
        if pa.types.is_string(field.type)
        else column
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.record_batch(columns, schema=schema)
