"""The labels that a feedback log has: the last one that was received for each prediction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ..batch.locations import Location
from ..contract.schema import FieldSpec
from ..monitoring import feedback_log
from .id_numbers import id_numbers
from .log_files import FEEDBACK, ReadProblems, find, read_lines, times

#: Lines that become arrays at once.
LINES_AT_ONCE = 10_000
#: The number of labels of another kind than those asked for.
OTHER = np.uint64(2**64 - 1)


class KnownLabels:
    """The last labels by prediction; 16 bytes for each."""

    def __init__(self, numbers: np.ndarray, label_numbers: np.ndarray) -> None:
        """Take labels in the order in which they were received."""
        # Of equal ids, the last in a reversed array is the first that unique() finds.
        self._ids, first = np.unique(numbers[::-1], return_index=True)
        self._labels = label_numbers[::-1][first]

    def __len__(self) -> int:
        return len(self._ids)

    def has(self, numbers: np.ndarray, label_numbers: np.ndarray) -> np.ndarray:
        """Return a mask of the predictions (n,) whose last label is this one."""
        if not len(self):
            return np.zeros(len(numbers), bool)
        places = np.minimum(np.searchsorted(self._ids, numbers), len(self) - 1)
        mask: np.ndarray = (self._ids[places] == numbers) & (self._labels[places] == label_numbers)
        return mask


def read_known(folder: Location, labels: Sequence[FieldSpec]) -> KnownLabels:
    """Return the labels that the feedback log in a folder has."""
    parts = [(np.zeros(0, "datetime64[us]"), np.zeros(0, np.uint64), np.zeros(0, np.uint64))]
    problems = ReadProblems()
    waiting: list[dict[str, Any]] = []
    for file in find(folder, FEEDBACK, datetime.min.replace(tzinfo=UTC)):
        for content, _ in read_lines(file, problems):
            if isinstance(content.get("id"), str) and isinstance(content.get("time"), str):
                waiting.append(content)
            if len(waiting) >= LINES_AT_ONCE:
                parts.append(_arrays(waiting, labels))
                waiting = []
    parts.append(_arrays(waiting, labels))
    received, numbers, label_numbers = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(received, kind="stable")
    return KnownLabels(numbers[order], label_numbers[order])


def _arrays(lines: list[dict[str, Any]], labels: Sequence[FieldSpec]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    numbers = id_numbers([line["id"] for line in lines])
    label_numbers = np.full(len(lines), OTHER)
    values = [[line.get(label.name) for line in lines] for label in labels]
    same = np.all(
        [[_is_value(value, label) for value in given] for given, label in zip(values, labels, strict=True)], 0
    )
    rows = np.flatnonzero(same)
    arrays = [
        np.array([given[row] for row in rows], object if label.is_text else np.float32)
        for given, label in zip(values, labels, strict=True)
    ]
    label_numbers[rows] = feedback_log.label_numbers(arrays, labels)
    return times(line["time"] for line in lines), numbers, label_numbers


def _is_value(value: Any, label: FieldSpec) -> bool:
    return isinstance(value, str if label.is_text else (bool, int, float))
