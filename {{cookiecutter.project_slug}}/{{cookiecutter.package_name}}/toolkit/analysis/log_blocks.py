"""The prediction log block by block: lines of one version become lists of rows, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .log_files import Line, LogFileInfo, ReadProblems, read_lines, times

#: Rows of one version that are handed on at once, since the lines of a quiet hour have one row each; fewer if they have
#: more bytes, as those with long texts or vectors.
ROWS_AT_ONCE, BYTES_AT_ONCE = 20_000, 20_000_000
#: Lines of different versions alternate; so many blocks of all of them may wait.
BLOCKS_WAITING = 4
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


def read_blocks(file: LogFileInfo, problems: ReadProblems) -> Iterator[LogBlock]:
    """Yield the rows of a file of the prediction log, of each version thousands at once."""
    waiting: dict[tuple[int, bool], _Lines] = {}
    size = 0.0
    for line in read_lines(file, problems):
        content = line.content
        if not _is_block(content):
            problems.damaged[file.address] += 1
            continue
        key = content["version"], content["shadow"]
        lines = waiting.get(key)
        if lines is None or not lines.has_fields_of(content):
            if lines:  # the store of another model, or a version that was registered anew
                size -= lines.size
                yield lines.block(*key)
            lines = waiting[key] = _Lines()
        size += lines.append(line)
        if lines.size >= 1:
            size -= lines.size
            yield waiting.pop(key).block(*key)
        elif size >= BLOCKS_WAITING:
            for other, most in list(waiting.items()):
                yield most.block(*other)
            waiting, size = {}, 0.0
    for key, lines in waiting.items():
        yield lines.block(*key)


class _Lines:
    """Lines of one version that wait until there are enough of them; their `size` is 1 if they make a block."""

    def __init__(self) -> None:
        self.size = 0.0
        self._lines: list[dict[str, Any]] = []

    def has_fields_of(self, line: dict[str, Any]) -> bool:
        first = self._lines[0]
        return first["inputs"].keys() == line["inputs"].keys() and first["outputs"].keys() == line["outputs"].keys()

    def append(self, line: Line) -> float:
        """Add a line and return its size."""
        self._lines.append(line.content)
        size = max(len(line.content["id"]) / ROWS_AT_ONCE, line.size / BYTES_AT_ONCE)
        self.size += size
        return size

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
