"""The parts of a job's input: what is read, scored and written by itself, and again if it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pyarrow as pa
import pyarrow.fs

from ..common.errors import UserError
from . import formats
from .locations import Location, locate, matching

#: A Parquet file of more rows is scored in several parts, of whole row groups.
PART_ROWS = 1_000_000


class Rows(NamedTuple):
    """The rows of a part: their columns, and batches that are read when they are asked for."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    #: How much of a part of unknown length was read so far, from 0 to 1.
    share_read: Callable[[], float] = lambda: 0.0


class Part(NamedTuple):
    """A file of rows, or some row groups of a Parquet file."""

    address: str
    #: Name of the output without its format, with the folders below the input's.
    name: str
    format: str
    #: Bytes of the file, and its last change in nanoseconds: whether it is still the same.
    size: int
    modified: int
    #: The first row group and the one behind the last; None for all of a file.
    groups: tuple[int, int] | None = None
    #: Position of the first row in the file.
    first_row: int = 0
    #: Number of rows; None where only reading tells it.
    rows: int | None = None

    @contextmanager
    def open(self) -> Iterator[Rows]:
        """Open the part; `UserError` if it cannot be read, also later from its batches."""
        location = locate(self.address)
        with ExitStack() as stack:
            if self.format == formats.PARQUET:
                parquet = formats.open_parquet(location, stack)
                groups = range(*self.groups) if self.groups else None
                batches = parquet.iter_batches(formats.CHUNK_ROWS, row_groups=groups)
                yield Rows(parquet.schema_arrow, _readable(location, batches))
            else:
                reader, position = formats.open_csv(location, stack)
                batches = formats.joined(reader)
                yield Rows(reader.schema, _readable(location, batches), lambda: position() / max(self.size, 1))

    def check_unchanged(self) -> None:
        """Raise `UserError` if the file has changed since the job was planned."""
        info = locate(self.address).info()
        if (info.size, info.mtime_ns or 0) != (self.size, self.modified):
            raise UserError(f"{self.address} has changed while it was read; score it again when it is complete")


def _readable(location: Location, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    with formats.readable(location):
        yield from batches


def plan(address: str) -> list[Part]:
    """Return the parts of a file, a folder or a pattern of files, in the order of their names."""
    source = locate(address)
    if source.is_pattern:
        base, found = matching(source)
    elif source.is_folder():
        base, found = source, source.list()
    elif source.exists():
        base, found = source.parent, [source.info()]
    else:
        raise UserError(f"{address}: there is no such file or folder")
    files = [info for info in found if formats.format_of(info.path) and not _hidden(base, info)]
    if not files:
        what = "no file that matches it" if source.is_pattern else "no file there"
        raise UserError(
            f"{address}: {what} ends in {', '.join(formats.FORMATS)}; names that begin with _ or . are left out"
        )
    return [part for info in files for part in _parts(base, info)]


def check_kept(parts: Sequence[Part], *outputs: Location) -> None:
    """Raise `UserError` if an output, a file or a folder, is one of the files that are read or has one in it."""
    given = {locate(part.address).real: part.address for part in parts}
    for output in outputs:
        for path, address in given.items():
            if f"{path}/".startswith(f"{output.real}/"):
                raise UserError(
                    f"{output.address} is written, and INPUT has {address}; choose another OUTPUT, so that it is kept"
                )


def _relative(base: Location, info: pa.fs.FileInfo) -> str:
    return info.path[len(base.path.rstrip("/")) + 1 :]


def _hidden(base: Location, info: pa.fs.FileInfo) -> bool:
    """Whether a file or its folder begins with "_" or ".": unfinished, or about the others, by Hadoop's convention."""
    return any(name.startswith(("_", ".")) for name in _relative(base, info).split("/"))


def _parts(base: Location, info: pa.fs.FileInfo) -> Iterator[Part]:
    name = _relative(base, info)
    location, stem, format = base.child(name), formats.stem(name), formats.format_of(name)
    whole = Part(location.address, stem, format, info.size, info.mtime_ns or 0)
    if format != formats.PARQUET:
        yield whole
        return
    with ExitStack() as stack:
        metadata = formats.open_parquet(location, stack).metadata
    if metadata.num_rows <= PART_ROWS or metadata.num_row_groups == 1:
        yield whole._replace(rows=metadata.num_rows)
        return
    index = start = first_row = rows = 0
    for group in range(metadata.num_row_groups):
        rows += metadata.row_group(group).num_rows
        last = group + 1 == metadata.num_row_groups
        if last or rows + metadata.row_group(group + 1).num_rows > PART_ROWS:
            numbered = f"{stem}-{index:05d}"
            yield whole._replace(name=numbered, groups=(start, group + 1), first_row=first_row, rows=rows)
            index, start, first_row, rows = index + 1, group + 1, first_row + rows, 0
