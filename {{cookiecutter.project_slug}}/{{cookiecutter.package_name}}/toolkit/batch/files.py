"""Files of rows, CSV and Parquet, scored chunk by chunk: a file of any size passes through the same memory."""

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

from ..common.errors import UserError
from ..contract import dataframes
from ..contract.columns import plain, take
from ..contract.schema import Contract, FieldSpec, Violation
from ..version.artifact import Artifact

FORMATS = (".csv", ".parquet")
CHUNK = 50_000
#: What the input's own column is called where a prediction needs its name.
GIVEN = "_given"
#: What rejects have beside the input columns.
REASONS = [pa.field("row", pa.int64()), pa.field("reasons", pa.string())]

ARROW_TYPES = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_(), "category": pa.string()}


class BatchResult(NamedTuple):
    """How a file was scored; `sha256` is that of the input."""

    rows: int
    rejected: int
    rejects: Path
    sha256: str


def score(
    artifact: Artifact, version: int, source: Path, output: Path, progress: Callable[[str], None] = lambda text: None
) -> BatchResult:
    """Score a file; output and rejects appear when they are complete, so a failure leaves what was there before."""
    rejects = output.with_name(f"{output.stem}.rejects.csv")
    done, aside = output.with_name(f".{output.name}.part"), rejects.with_name(f".{rejects.name}.part")
    rows = rejected = 0
    try:
        with ExitStack() as stack:
            schema, chunks = _read(source, stack)
            _check_columns(schema, artifact.contract, source)
            good_schema, bad_schema = _beside(schema, _fields(artifact.contract)), _beside(schema, REASONS)
            write, reject = _writer(done, output.suffix, good_schema, stack), _writer(aside, ".csv", bad_schema, stack)
            for chunk in chunks:
                checked = dataframes.check(_frame(chunk), artifact.contract)
                good = checked.good(len(chunk))
                write(_scored(artifact, version, chunk, checked, good, good_schema))
                reject(_rejected(chunk, checked.problems, ~good, rows, bad_schema))
                rows, rejected = rows + len(chunk), rejected + int((~good).sum())
                progress(f"{rows} rows")
        done.replace(output)
        rejects.unlink(missing_ok=True)
        if rejected:
            aside.replace(rejects)
    finally:
        done.unlink(missing_ok=True)
        aside.unlink(missing_ok=True)
    with source.open("rb") as file:
        return BatchResult(rows, rejected, rejects, hashlib.file_digest(file, "sha256").hexdigest())


def _read(source: Path, stack: ExitStack) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Return the schema of a file and its rows, chunk by chunk."""
    with _readable(source):
        if source.suffix == ".parquet":
            parquet = stack.enter_context(pa.parquet.ParquetFile(source))
            return parquet.schema_arrow, _chunks(parquet.iter_batches(CHUNK), source)
        with source.open(newline="", encoding="utf-8-sig") as file:
            names = next(csv.reader(file), [])
        # Every value as the text it is: "007" must come out as it went in.
        convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
        # In a file of one column, a line without anything is a missing value.
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
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{source} cannot be read as {source.suffix[1:]}: {str(error).splitlines()[0]}") from error


def _frame(table: pa.Table) -> pd.DataFrame:
    # The file's columns are what it says, whichever of them pandas took for an index when it wrote them.
    return table.to_pandas(ignore_metadata=True)


def _check_columns(schema: pa.Schema, contract: Contract, source: Path) -> None:
    problems = dataframes.check(_frame(schema.empty_table()), contract).problems
    if problems:
        lines = "\n".join(f"  - {problem.field}: {problem.reason}" for problem in problems)
        raise UserError(f"{source} cannot be scored; its columns are {', '.join(schema.names)}:\n{lines}")


def _beside(schema: pa.Schema, added: list[pa.Field]) -> pa.Schema:
    """Return the input's columns and the added ones; an input column whose name is needed gets another."""
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
    fields = [pa.field(column.name, _arrow_type(column)) for column in contract.prediction]
    return [*fields, pa.field("version", pa.int64())]


def _arrow_type(column: FieldSpec) -> pa.DataType:
    return pa.list_(pa.float64()) if column.length is not None else ARROW_TYPES[column.kind]


def _scored(
    artifact: Artifact, version: int, chunk: pa.Table, checked: dataframes.Checked, good: np.ndarray, schema: pa.Schema
) -> pa.Table:
    kept = chunk.filter(pa.array(good))
    arrays = [pa.array([], type=field.type) for field in _fields(artifact.contract)]
    if good.any():
        predictions = artifact.runtime.score(take(checked.columns, good))
        arrays = [pa.array(plain(predictions[c.name]), type=_arrow_type(c)) for c in artifact.contract.prediction]
        arrays.append(pa.array([version] * len(kept), type=pa.int64()))
    return pa.table([*kept.columns, *arrays], schema=schema)


def _rejected(chunk: pa.Table, problems: list[Violation], bad: np.ndarray, start: int, schema: pa.Schema) -> pa.Table:
    reasons: dict[int, list[str]] = {}
    for problem in problems:
        text = f"{problem.field}: {'nothing' if problem.value is None else repr(problem.value)}: {problem.reason}"
        reasons.setdefault(problem.row or 0, []).append(text)
    where = np.flatnonzero(bad)
    columns = [
        pa.array(where + start, pa.int64()),
        pa.array(["; ".join(reasons[row]) for row in where.tolist()], pa.string()),
    ]
    return pa.table([*chunk.filter(pa.array(bad)).columns, *columns], schema=schema)


def _writer(path: Path, suffix: str, schema: pa.Schema, stack: ExitStack) -> Callable[[pa.Table], None]:
    if suffix == ".parquet":
        return stack.enter_context(pa.parquet.ParquetWriter(path, schema)).write_table
    flat = pa.schema([pa.field(f.name, pa.string()) if pa.types.is_nested(f.type) else f for f in schema])
    writer = stack.enter_context(pa.csv.CSVWriter(path, flat))
    return lambda table: writer.write_table(_flatten(table, flat))


def _flatten(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Write lists as JSON text, which is how they are read from CSV."""

    def text(value: Any) -> str | None:
        return None if value is None else json.dumps(value)

    return pa.table(
        [
            pa.array([text(value) for value in column.to_pylist()], pa.string())
            if pa.types.is_nested(column.type)
            else column
            for column in table.columns
        ],
        schema=schema,
    )
