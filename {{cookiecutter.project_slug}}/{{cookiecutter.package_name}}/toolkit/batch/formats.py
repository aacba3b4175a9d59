"""The formats of files of rows, by the end of a file's name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, time
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ..common.errors import UserError
from .locations import Location
from .object_stores import describe

PARQUET = ".parquet"
#: Formats of CSV with the compression of each.
CSV = {".csv": None, ".csv.gz": "gzip", ".csv.zst": "zstd"}
FORMATS = (*CSV, PARQUET)
#: The format of files of rejected rows, which people open.
REJECTS = ".csv"
CHUNK_ROWS = 50_000
#: Blocks of a CSV file, of a megabyte each, in a batch: the more rows it has, the fewer of these differ to a model of
#: trees. Larger blocks would take more memory: Arrow reads 32 of them ahead.
BATCH_BLOCKS = 4
#: Bytes that are read of a column at a time.
READ_BUFFER_BYTES = 1_000_000
Write = Callable[[pa.RecordBatch], None]


def format_of(name: str) -> str:
    """Return the format of a file by its name, "" if it has none."""
    return next((suffix for suffix in FORMATS if name.lower().endswith(suffix)), "")


def stem(name: str) -> str:
    """Return a name without its format."""
    return name[: len(name) - len(format_of(name))]


@contextmanager
def readable(location: Location) -> Iterator[None]:
    """Turn the errors of reading a file into a `UserError`."""
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        format = format_of(location.name)[1:]
        raise UserError(f"{location.address} cannot be read as {format}: {describe(error)}") from error


def open_parquet(location: Location, stack: ExitStack) -> pa.parquet.ParquetFile:
    """Open a Parquet file; one that is not read keeps nothing but its metadata in memory."""
    with readable(location):
        file = stack.enter_context(location.filesystem.open_input_file(location.path))
        # Otherwise all column chunks of a row group are held, those of a single group of gigabytes among them.
        return stack.enter_context(pa.parquet.ParquetFile(file, pre_buffer=False, buffer_size=READ_BUFFER_BYTES))


def open_csv(location: Location, stack: ExitStack) -> tuple[pa.csv.CSVStreamingReader, Callable[[], int]]:
    """Open a CSV file, whose values stay text, and return a function that gives the bytes read of it so far."""
    compression = CSV[format_of(location.name)]
    with readable(location):
        names = _header(location, compression)
        # Every value as text: "007" must be written as it was read.
        convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
        # In a file of one column, an empty line is a missing value.
        parse = pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(names) > 1)
        raw = stack.enter_context(location.filesystem.open_input_file(location.path))
        stream = stack.enter_context(pa.CompressedInputStream(raw, compression)) if compression else raw
        reader = stack.enter_context(pa.csv.open_csv(stream, convert_options=convert, parse_options=parse))
        return reader, raw.tell


def joined(blocks: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of several blocks of a CSV file as one batch."""
    while found := list(islice(blocks, BATCH_BLOCKS)):
        yield from pa.Table.from_batches(found).combine_chunks().to_batches()


def _header(location: Location, compression: str | None) -> list[str]:
    with location.filesystem.open_input_stream(location.path, compression=compression) as stream:
        lines = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))
        return next(filter(None, lines), [])  # like Arrow, without empty lines before it


def writer(path: Path, format: str, schema: pa.Schema, stack: ExitStack) -> Write:
    """Return a function that writes batches to a file in a format, which is complete when the stack is closed."""
    if format == PARQUET:
        return stack.enter_context(pa.parquet.ParquetWriter(path, schema)).write_batch
    flat = pa.schema([pa.field(f.name, pa.string()) if _has_text(f.type) else f for f in schema])
    stream = stack.enter_context(pa.output_stream(str(path), compression=CSV[format]))
    file = stack.enter_context(pa.csv.CSVWriter(stream, flat))
    return lambda batch: file.write_batch(pa.record_batch(list(map(_as_text, batch.columns)), schema=flat))


def _has_text(type_: pa.DataType) -> bool:
    """Whether values of a type are made to text here, and not by Arrow's writer, which takes some not at all."""
    kinds = pa.types
    is_binary = kinds.is_binary(type_) or kinds.is_large_binary(type_) or kinds.is_fixed_size_binary(type_)
    is_view = kinds.is_string_view(type_) or kinds.is_binary_view(type_)
    is_extension = isinstance(type_, pa.BaseExtensionType)
    return kinds.is_nested(type_) or kinds.is_timestamp(type_) or is_binary or is_view or is_extension


def _as_text(column: pa.Array) -> pa.Array:
    """Return lists and dicts as JSON text, as CSV files have them, and times as Arrow writes them.

    Bytes that are no UTF-8 become escapes. Numbers, booleans and texts stay as they are.

    A time takes longer to write than all else of a row; so each is written once, and most often there is only one.
    """
    if pa.types.is_timestamp(column.type):
        distinct = column.dictionary_encode()
        return distinct.dictionary.cast(pa.string()).take(distinct.indices)
    if not _has_text(column.type):
        return column
    return pa.array([None if value is None else _text(value) for value in column.to_pylist()], pa.string())


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=_text)
    return value.isoformat() if isinstance(value, date | time) else str(value)
