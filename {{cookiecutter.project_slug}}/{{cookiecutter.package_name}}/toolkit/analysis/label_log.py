"""Labels that have arrived: of each prediction the last one that was sent, whoever sent it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from .id_numbers import id_numbers
from .log_files import LogFileInfo, ReadProblems, read_lines, times

#: Labels that are kept. Of more, a random sample by prediction id: intervals hardly become narrower with more rows.
MOST_LABELS = 200_000
#: The fewest bytes of a line of the feedback log: its time, its version and its id.
LINE_BYTES = 100
LINES_AT_ONCE = 10_000
#: What a line has beside the labels.
OTHER_KEYS = ("time", "version", "id")


class Labels(NamedTuple):
    """Labels by the numbers of their predictions, see `id_numbers`."""

    #: (n,) uint64; ascending and each once, after `latest`.
    numbers: np.ndarray
    #: (n,) datetime64[us].
    time: np.ndarray
    #: Labels by name, as JSON has them.
    values: list[dict[str, Any]]
    #: The share of the predictions whose labels are kept.
    share: float
    #: Labels that another one of the same prediction has replaced.
    replaced: int = 0

    def positions(self, numbers: np.ndarray) -> np.ndarray:
        """Return the position of the label of each number (n,), -1 where there is none."""
        if not len(self.numbers):
            return np.full(len(numbers), -1)
        found = np.searchsorted(self.numbers, numbers).clip(max=len(self.numbers) - 1)
        return np.where(self.numbers[found] == numbers, found, -1)


def share_for(files: Sequence[LogFileInfo]) -> float:
    """Return the share of the labels of some files to keep: their number is at most `MOST_LABELS`."""
    most = sum(file.size for file in files) / LINE_BYTES
    return min(1.0, MOST_LABELS / most) if most else 1.0


def read(file: LogFileInfo, share: float) -> tuple[Labels, ReadProblems]:
    """Return the labels of a file whose predictions are in the sample."""
    problems = ReadProblems()
    lines = _valid_lines(file, problems)
    parts = []
    while some := list(islice(lines, LINES_AT_ONCE)):
        parts.append(_kept(some, share))
    return _joined(parts, share), problems


def latest(parts: Sequence[Labels], share: float) -> Labels:
    """Return the labels of several files: of a prediction with several the one that was sent last."""
    everything = _joined(parts, share)
    order = np.lexsort((everything.time, everything.numbers))
    numbers = everything.numbers[order]
    is_last = np.append(numbers[1:] != numbers[:-1], True)[: len(numbers)]
    kept = order[is_last]
    return Labels(
        numbers[is_last],
        everything.time[kept],
        [everything.values[i] for i in kept.tolist()],
        share,
        len(numbers) - len(kept),
    )


def _valid_lines(file: LogFileInfo, problems: ReadProblems) -> Iterator[dict[str, Any]]:
    for content, _ in read_lines(file, problems):
        is_label = isinstance(content.get("id"), str) and isinstance(content.get("time"), str)
        if is_label and len(content) > len(OTHER_KEYS) - 1:
            yield content
        else:
            problems.damaged[file.address] += 1


def _kept(lines: list[dict[str, Any]], share: float) -> Labels:
    numbers = id_numbers([line["id"] for line in lines])
    where = np.flatnonzero(numbers <= np.uint64(int(share * 2**64))) if share < 1 else np.arange(len(lines))
    kept = [lines[i] for i in where.tolist()]
    return Labels(
        numbers[where],
        times(line["time"] for line in kept),
        [{name: value for name, value in line.items() if name not in OTHER_KEYS} for line in kept],
        share,
    )


def _joined(parts: Sequence[Labels], share: float) -> Labels:
    if not parts:
        return Labels(np.array([], np.uint64), np.array([], "datetime64[us]"), [], share)
    return Labels(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.time for part in parts]),
        list(chain.from_iterable(part.values for part in parts)),
        share,
    )
