"""Batch scoring of CSV and Parquet files, in chunks: the memory in use does not depend on the size of the file."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ..common.errors import UserError, explain_os_errors
from ..common.file_state import file_state
from ..common.scratch import locked, scratch_file
from ..contract import column_names, dataframes
from ..contract.columns import Columns, output_values, take
from ..contract.schema import Contract, FieldSpec, Violation
from ..version.artifact import Artifact

FORMATS = (".csv", ".parquet")
CHUNK_ROWS = 50_000
#: Bytes that are read of a column at a time.
READ_BUFFER_BYTES = 1_000_000
#: Suffix of an input column whose name is that of a prediction's field.
GIVEN = "_given"
#: Columns that the file of rejected rows has after the input columns: the row's position in the input, and the reasons.
REJECT_FIELDS = [pa.field("row", pa.int64()), pa.field("reasons", pa.string())]

ARROW_TYPES = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}


class BatchResult(NamedTuple):
    """The result of scoring a file: rows read, rows rejected, the file of rejected rows, the input's SHA-256."""

    rows: int
    rejected: int
    rejects: Path
    sha256: str
    #: Whether another run has written the same output meanwhile, which this one has replaced.
    replaced: bool = False
    #: Columns that the schema does not know, and fields that have no column.
    warnings: tuple[str, ...] = ()


def score(
    artifact: Artifact,
    version: int,
    source: Path,
    output: Path,
    progress: Callable[[str], None] = lambda text: None,
    *,
    strict: bool = False,
) -> BatchResult:
    """Score a file; the files written appear when complete, so a failure leaves those of an earlier call in place.

    With `strict`, unknown and missing columns are a `UserError`, not a warning.
    """
    rejects = output.with_name(f"{output.stem}.rejects.csv")
    rows = rejected = 0
    before = file_state(output)
    with explain_os_errors(output.parent), scratch_file(output) as part, scratch_file(rejects) as rejects_part:
        with ExitStack() as stack:
            schema, chunks = _read(source, stack)
            warnings = _check_columns(schema, artifact.contract, source, strict=strict)
            output_schema, reject_schema = (
                _extended(schema, _fields(artifact.contract)),
                _extended(schema, REJECT_FIELDS),
            )
            write = _writer(part, output.suffix, output_schema, stack)
            reject = _writer(rejects_part, ".csv", reject_schema, stack)
            for chunk in chunks:
                checked = dataframes.check_features(_frame(chunk), artifact.contract)
                valid = checked.valid_rows(len(chunk))
                write(_scored(artifact, version, chunk, checked.columns, valid, output_schema))
                reject(_rejected(chunk, checked.violations, ~valid, rows, reject_schema))
                rows, rejected = rows + len(chunk), rejected + int((~valid).sum())
                progress(f"{rows} rows")
        with source.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        with locked(output.parent):  # predictions and rejected rows are of the same run
            replaced = file_state(output) != before
            part.replace(output)
            rejects.unlink(missing_ok=True)
            if rejected:
                rejects_part.replace(rejects)
    return BatchResult(rows, rejected, rejects, sha256, replaced, warnings)


def _read(source: Path, stack: ExitStack) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Return the schema of a file and its rows in chunks."""
    with _readable(source):
        if source.suffix == ".parquet":
            # Otherwise all column chunks of a row group are held, those of a single group of gigabytes among them.
            parquet = stack.enter_context(
                pa.parquet.ParquetFile(source, pre_buffer=False, buffer_size=READ_BUFFER_BYTES)
            )
            return parquet.schema_arrow, _chunks(parquet.iter_batches(CHUNK_ROWS), source)
        with source.open(newline="", encoding="utf-8-sig") as file:
            names = next(csv.reader(file), [])
        # Every value as text: "007" must be written as it was read.
        convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
        # In a file of one column, an empty line is a missing value.
        parse = pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(names) > 1)
        reader = stack.enter_context(pa.csv.open_csv(source, convert_options=convert, parse_options=parse))
        return reader.schema, _chunks(reader, source)


def _chunks(batches: Iterable[pa.RecordBatch], source: Path) -> Iterator[pa.Table]:
    with _readable(source):
        for batch in batches:
            yield pa.Table.from_batches([batch])


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{source} cannot be read as {source.suffix[1:]}: {str(error).splitlines()[0]}") from error


def _frame(table: pa.Table) -> pd.DataFrame:
    # Pandas stores in Parquet metadata which columns were its index; here they are columns like the others.
    return table.to_pandas(ignore_metadata=True)


def _check_columns(schema: pa.Schema, contract: Contract, source: Path, *, strict: bool) -> tuple[str, ...]:
    """Return what there is to say about the columns; `UserError` if the file cannot be scored."""
    violations = dataframes.check_features(_frame(schema.empty_table()), contract).violations
    if violations:
        lines = "\n".join(f"  - {violation.field}: {violation.reason}" for violation in violations)
        raise UserError(f"{source} cannot be scored; its columns are {', '.join(schema.names)}:\n{lines}")
    if not any(column_names.is_given(field, set(schema.names)) for field in contract.row):
        expected = ", ".join(contract.by_name)
        raise UserError(f"{source} has none of the columns {expected}; its columns are {', '.join(schema.names)}")
    found = column_names.check(schema.names, contract).sentences
    if found and strict:
        raise UserError(f"{source} (STRICT=1): {'; '.join(found)}")
    return tuple(found)


def _extended(schema: pa.Schema, added: list[pa.Field]) -> pa.Schema:
    """Return the input's columns and the added ones; an input column whose name is taken gets a suffix."""
    taken = {field.name for field in added} | set(schema.names)
    fields = []
    for field in schema:
        name = field.name
        if any(name == other.name for other in added):
            while name in taken:
                name += GIVEN
            taken.add(name)
        fields.append(field.with_name(name))
    return pa.schema([*fields, *added])


def _fields(contract: Contract) -> list[pa.Field]:
    fields = [pa.field(field.name, _arrow_type(field)) for field in contract.prediction]
    return [*fields, pa.field("version", pa.int64())]


def _arrow_type(field: FieldSpec) -> pa.DataType:
    if field.kind == "map":
        return pa.struct([pa.field(name, pa.float64()) for name in field.names])
    return pa.list_(pa.float64()) if field.length is not None else ARROW_TYPES.get(field.kind, pa.string())


def _scored(
    artifact: Artifact, version: int, chunk: pa.Table, columns: Columns, valid: np.ndarray, schema: pa.Schema
) -> pa.Table:
    """Return the valid rows of a chunk with their predictions."""
    kept = chunk.filter(pa.array(valid))
    arrays = [pa.array([], type=field.type) for field in _fields(artifact.contract)]
    if valid.any():
        predictions = artifact.runtime.score(take(columns, valid))
        arrays = [
            pa.array(output_values(predictions[f.name], f), type=_arrow_type(f)) for f in artifact.contract.prediction
        ]
        arrays.append(pa.array([version] * len(kept), type=pa.int64()))
    return pa.table([*kept.columns, *arrays], schema=schema)


def _rejected(
    chunk: pa.Table, violations: list[Violation], invalid: np.ndarray, start: int, schema: pa.Schema
) -> pa.Table:
    """Return the invalid rows of a chunk with their positions in the file and their reasons."""
    reasons: dict[int, list[str]] = {}
    for violation in violations:
        text = f"{violation.field}: {violation.value_text}: {violation.reason}"
        reasons.setdefault(violation.row or 0, []).append(text)
    where = np.flatnonzero(invalid)
    columns = [
        pa.array(where + start, pa.int64()),
        pa.array(["; ".join(reasons[row]) for row in where.tolist()], pa.string()),
    ]
    return pa.table([*chunk.filter(pa.array(invalid)).columns, *columns], schema=schema)


def _writer(path: Path, suffix: str, schema: pa.Schema, stack: ExitStack) -> Callable[[pa.Table], None]:
    if suffix == ".parquet":
        return stack.enter_context(pa.parquet.ParquetWriter(path, schema)).write_table
    flat = pa.schema([pa.field(f.name, pa.string()) if pa.types.is_nested(f.type) else f for f in schema])
    writer = stack.enter_context(pa.csv.CSVWriter(path, flat))
    return lambda table: writer.write_table(_flatten(table, flat))


def _flatten(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with lists and dicts as JSON text, as CSV files have them."""

    def text(value: Any) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False)

    return pa.table(
        [
            pa.array([text(value) for value in column.to_pylist()], pa.string())
            if pa.types.is_nested(column.type)
            else column
            for column in table.columns
        ],
        schema=schema,
    )
