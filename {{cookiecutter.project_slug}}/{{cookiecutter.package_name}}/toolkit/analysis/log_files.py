"""The files of the prediction log and of the feedback log, read line by line from a folder or an object store.

The service may write them, and remove the oldest, meanwhile. What cannot be read is counted, and said in the end: no
file makes an analysis fail.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.fs

from ..batch.locations import Location, locate
from ..common import plurals

PREDICTIONS, FEEDBACK = "predictions", "feedback"
#: The most bytes of a line: the recorder's have at most half a million values, unless a single row has more.
MOST_BYTES = {PREDICTIONS: 32_000_000, FEEDBACK: 50_000}
MOST_TEXT = "32 MB, of a label 50 kB"
#: Bytes that are read at once.
BUFFER_BYTES = 1 << 20
#: Files that a sentence names.
MOST_NAMES = 3


class LogFileInfo(NamedTuple):
    """A file of a log (`PREDICTIONS`, `FEEDBACK`), with its size in bytes."""

    address: str
    path: str
    size: int
    log: str


class Line(NamedTuple):
    """The object in a line of a log, and the bytes that the line has."""

    content: dict[str, Any]
    size: int


@dataclass
class ReadProblems:
    """What could not be read of some files."""

    #: Lines that are no blocks or labels, by file.
    damaged: Counter[str] = field(default_factory=Counter)
    #: Lines that are longer than the service writes them, by file.
    long: Counter[str] = field(default_factory=Counter)
    #: Files whose last line is incomplete.
    cut: list[str] = field(default_factory=list)
    #: Files that were removed before they were read.
    removed: list[str] = field(default_factory=list)
    #: Files that could not be read, with the reason.
    unreadable: list[str] = field(default_factory=list)

    def add(self, other: ReadProblems) -> None:
        """Add what could not be read of other files."""
        self.damaged += other.damaged
        self.long += other.long
        self.cut += other.cut
        self.removed += other.removed
        self.unreadable += other.unreadable

    def notes(self) -> list[str]:
        """Return a sentence for each kind of problem."""
        notes = []
        if self.damaged:
            lines = plurals.count(self.damaged.total(), "damaged line is", "damaged lines are")
            notes.append(f"{lines} left out of {_names(self.damaged)}.")
        if self.long:
            lines = plurals.count(self.long.total(), "line is", "lines are")
            notes.append(f"{lines} left out of {_names(self.long)}, too long: the most is {MOST_TEXT}.")
        if self.cut:
            notes.append(
                f"The last line of {_names(self.cut)} is incomplete and left out: the process that wrote it ended in "
                "the middle, or is writing it now."
            )
        if self.removed:
            notes.append(
                f"Removed before it could be read: {_names(self.removed)}. The service removes the oldest files above "
                "LOG_MEGABYTES."
            )
        return [*notes, *(f"Not read: {text}" for text in self.unreadable)]


def find(folder: Location, name: str, since: datetime) -> list[LogFileInfo]:
    """Return the files of a log (`PREDICTIONS`, `FEEDBACK`) below a folder that were written to since a time."""
    found = []
    for info in folder.list():
        base = info.path.rpartition("/")[2]
        if base.startswith(f"{name}-") and base.endswith(".jsonl") and (info.mtime is None or _utc(info.mtime) > since):
            relative = info.path[len(folder.path.rstrip("/")) + 1 :]
            found.append(LogFileInfo(folder.child(relative).address, info.path, info.size, name))
    return found


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def read_lines(file: LogFileInfo, problems: ReadProblems) -> Iterator[Line]:
    """Yield the JSON objects of a file, one a line; what cannot be read is added to the problems."""
    try:
        with closing(_open(file)) as stream:
            for line in _whole_lines(stream, file, problems):
                try:
                    content = orjson.loads(line)
                except orjson.JSONDecodeError:
                    content = None
                if isinstance(content, dict):
                    yield Line(content, len(line))
                elif not line.endswith(b"\n"):
                    problems.cut.append(file.address)
                elif line.strip():
                    problems.damaged[file.address] += 1
    except FileNotFoundError:
        problems.removed.append(file.address)
    except (OSError, pa.ArrowException) as error:
        problems.unreadable.append(f"{file.address}: {error}")


def _whole_lines(stream: BinaryIO, file: LogFileInfo, problems: ReadProblems) -> Iterator[bytes]:
    """Yield the lines of a file; those that are too long are counted, and not kept in memory."""
    most = MOST_BYTES[file.log]
    while line := stream.readline(most):
        if len(line) < most or line.endswith(b"\n"):
            yield line
            continue
        problems.long[file.address] += 1
        while line and not line.endswith(b"\n"):
            line = stream.readline(BUFFER_BYTES)


def first_version(file: LogFileInfo) -> int | None:
    """Return the version of a file's first line, None if it cannot be read."""
    with suppress(OSError, pa.ArrowException), closing(_open(file)) as stream:
        found = re.match(rb'\{"version":\s*(\d{1,9})\b', stream.read(100))
        return int(found[1]) if found else None
    return None


def _open(file: LogFileInfo) -> BinaryIO:
    location = locate(file.address)
    if location.is_local:
        return Path(file.path).open("rb", buffering=BUFFER_BYTES)
    stream = location.filesystem.open_input_stream(location.path, compression=None)
    return cast("BinaryIO", io.BufferedReader(stream, BUFFER_BYTES))


def times(texts: Iterable[str]) -> np.ndarray:
    """Return ISO 8601 texts as datetime64[us] (n,), in UTC; NaT for what is none."""
    texts = list(texts)  # many of which share the time of their request
    known = {text: _microseconds(text) for text in dict.fromkeys(texts)}
    return np.fromiter(map(known.__getitem__, texts), np.int64, len(texts)).astype("datetime64[us]")


def _microseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return int(np.datetime64("NaT", "us").astype(np.int64))
    since = _utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _names(files: Iterable[str]) -> str:
    names = list(dict.fromkeys(files))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
