"""The files of the prediction log and of the feedback log, read block by block from a folder or an object store.

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

PREDICTIONS, FEEDBACK = "predictions", "feedback"
#: Rows of one version that are handed on at once: the lines of a quiet hour have one row each.
ROWS_AT_ONCE = 20_000
#: Lines of different versions alternate; so many rows of all of them may wait.
ROWS_WAITING = 4 * ROWS_AT_ONCE
#: Bytes that are read at once.
BUFFER_BYTES = 1 << 20
#: Files that a sentence names.
MOST_NAMES = 3
#: The types of some entries of a line.
TEXTS, KEYS, POSITIONS = {str}, {str, type(None)}, {int}


class LogBlock(NamedTuple):
    """Rows of one version, in the order of the file: each list and array has one entry for each row.

    `inputs` and `outputs` have the values as JSON has them, for every field a list: of a vector lists, of a map dicts.
    """

    version: int
    shadow: bool
    #: datetime64[us], UTC.
    time: np.ndarray
    ids: list[str]
    #: The keys that callers gave, None where there was none.
    keys: list[str | None]
    inputs: dict[str, list[Any]]
    outputs: dict[str, list[Any]]


class LogFileInfo(NamedTuple):
    """A file of a log, with its size in bytes."""

    address: str
    path: str
    size: int


@dataclass
class ReadProblems:
    """What could not be read of some files."""

    #: Lines that are no blocks or labels, by file.
    damaged: Counter[str] = field(default_factory=Counter)
    #: Files whose last line is incomplete.
    cut: list[str] = field(default_factory=list)
    #: Files that were removed before they were read.
    removed: list[str] = field(default_factory=list)
    #: Files that could not be read, with the reason.
    unreadable: list[str] = field(default_factory=list)

    def add(self, other: ReadProblems) -> None:
        """Add what could not be read of other files."""
        self.damaged += other.damaged
        self.cut += other.cut
        self.removed += other.removed
        self.unreadable += other.unreadable

    def notes(self) -> list[str]:
        """Return a sentence for each kind of problem."""
        notes = []
        if self.damaged:
            lines = self.damaged.total()
            notes.append(f"{lines} damaged line{'s' * (lines > 1)} in {_names(self.damaged)} left out.")
        if self.cut:
            notes.append(
                f"The last line of {_names(self.cut)} is incomplete and left out: the process that wrote it ended in "
                "the middle, or is writing it now."
            )
        if self.removed:
            notes.append(
                f"{_names(self.removed)} removed before it could be read; the service removes the oldest files above "
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
            found.append(LogFileInfo(folder.child(relative).address, info.path, info.size))
    return found


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def read_lines(file: LogFileInfo, problems: ReadProblems) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a file, one a line; what cannot be read is added to the problems."""
    try:
        with closing(_open(file)) as stream:
            for line in stream:
                try:
                    content = orjson.loads(line)
                except orjson.JSONDecodeError:
                    content = None
                if isinstance(content, dict):
                    yield content
                elif not line.endswith(b"\n"):
                    problems.cut.append(file.address)
                elif line.strip():
                    problems.damaged[file.address] += 1
    except FileNotFoundError:
        problems.removed.append(file.address)
    except (OSError, pa.ArrowException) as error:
        problems.unreadable.append(f"{file.address}: {error}")


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


def read_blocks(file: LogFileInfo, problems: ReadProblems) -> Iterator[LogBlock]:
    """Yield the rows of a file of the prediction log, of each version thousands at once."""
    waiting: dict[tuple[int, bool], _Lines] = {}
    rows = 0
    for line in read_lines(file, problems):
        if not _is_block(line):
            problems.damaged[file.address] += 1
            continue
        key = line["version"], line["shadow"]
        lines = waiting.get(key)
        if lines is None or not lines.has_fields_of(line):
            if lines:  # the store of another model, or a version that was registered anew
                rows -= lines.rows
                yield lines.block(*key)
            lines = waiting[key] = _Lines()
        rows += lines.append(line)
        if lines.rows >= ROWS_AT_ONCE:
            rows -= lines.rows
            yield waiting.pop(key).block(*key)
        elif rows >= ROWS_WAITING:
            for other, most in list(waiting.items()):
                yield most.block(*other)
            waiting, rows = {}, 0
    for key, lines in waiting.items():
        yield lines.block(*key)


class _Lines:
    """Lines of one version that wait until there are enough of them."""

    def __init__(self) -> None:
        self.rows = 0
        self._lines: list[dict[str, Any]] = []

    def has_fields_of(self, line: dict[str, Any]) -> bool:
        first = self._lines[0]
        return first["inputs"].keys() == line["inputs"].keys() and first["outputs"].keys() == line["outputs"].keys()

    def append(self, line: dict[str, Any]) -> int:
        """Add a line and return its number of rows."""
        self._lines.append(line)
        self.rows += len(line["id"])
        return len(line["id"])

    def block(self, version: int, shadow: bool) -> LogBlock:
        """Return the rows of all lines."""
        lines = self._lines
        first = lines[0]
        return LogBlock(
            version,
            shadow,
            times([text for line in lines for text in line["time"]]),
            [text for line in lines for text in line["id"]],
            [line["keys"][position] for line in lines for position in line["key"]],
            {name: [value for line in lines for value in line["inputs"][name]] for name in first["inputs"]},
            {name: [value for line in lines for value in line["outputs"][name]] for name in first["outputs"]},
        )


def _is_block(line: dict[str, Any]) -> bool:
    """Whether a line of the prediction log is complete."""
    ids, time, positions, keys = (line.get(name, ()) for name in ("id", "time", "key", "keys"))
    inputs, outputs, shadow = line.get("inputs"), line.get("outputs"), line.get("shadow")
    if not (type(line.get("version")) is int and isinstance(shadow, bool) and isinstance(keys, list)):
        return False
    if not (isinstance(inputs, dict) and isinstance(outputs, dict)):
        return False
    lists = ids, time, positions, *inputs.values(), *outputs.values()
    if not ids or not all(isinstance(values, list) and len(values) == len(ids) for values in lists):
        return False
    if not (TEXTS.issuperset(map(type, (*ids, *time))) and KEYS.issuperset(map(type, keys))):
        return False
    used = set(positions) if POSITIONS.issuperset(map(type, positions)) else {-1}
    return min(used) >= 0 and max(used) < len(keys)


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
