"""The labels of files by what refers to predictions: 30 bytes for each, so that millions fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..monitoring import feedback_log
from .id_numbers import id_numbers
from .label_files import LabelBatch, LabelFiles, Reference


def numbers_of(references: np.ndarray, reference: Reference) -> np.ndarray:
    """Return 64 bits for each reference to predictions (n,): those of two among ten million differ."""
    if reference.by == "id":
        return id_numbers(references.tolist())
    texts = references if references.dtype == object else np.asarray(references, np.float64) + 0.0  # -0 is 0
    return pd.util.hash_array(texts, categorize=False)


class LabelCounts(NamedTuple):
    """What was counted of the rows of files."""

    rows: int = 0
    #: Rows with a violation, and those that contradict another row.
    invalid: int = 0
    ambiguous: int = 0
    #: Rows that say what another row says.
    repeated: int = 0
    #: Rows without a label.
    unlabelled: int = 0

    @property
    def rejected(self) -> int:
        """The rows that are not used because of an error in them."""
        return self.invalid + self.ambiguous


class LabelIndex:
    """Distinct labels, in the order of their references and times; `ambiguous` is a mask of those with two values."""

    def __init__(
        self, references: np.ndarray, time: np.ndarray, numbers: np.ndarray, labels: Sequence[np.ndarray]
    ) -> None:
        order = np.lexsort((numbers, time, references))
        references, time, numbers = references[order], time[order], numbers[order]
        first = np.ones(len(order), bool)
        first[1:] = (references[1:] != references[:-1]) | (time[1:] != time[:-1])
        group = np.cumsum(first) - 1
        starts = np.flatnonzero(first)
        self.rows = np.bincount(group, minlength=len(starts))
        self.ambiguous = np.zeros(len(starts), bool)
        self.ambiguous[group[numbers != numbers[starts][group]]] = True
        self.numbers = numbers[starts]
        self.labels = [array[order[starts]] for array in labels]
        self._references, self._ranks = np.unique(references[starts], return_inverse=True)
        # Not the time itself: reference and time would not fit into 64 bits.
        self._times = np.unique(time)
        self._places = self._place(self._ranks, np.searchsorted(self._times, time[starts]))

    def __len__(self) -> int:
        return len(self.numbers)

    def find(self, references: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return the position of the label of each row (n,) of the files."""
        ranks = np.searchsorted(self._references, references)
        return np.searchsorted(self._places, self._place(ranks, np.searchsorted(self._times, time)))

    def find_next(self, references: np.ndarray, time: np.ndarray | None) -> np.ndarray:
        """Return the position of the first label after each prediction (n,), -1 if there is none.

        Without the predictions' times, or if they are NaT, any label is after them.
        """
        if not len(self):
            return np.full(len(references), -1)
        ranks = np.minimum(np.searchsorted(self._references, references), len(self._references) - 1)
        times = 0 if time is None else np.where(np.isnat(time), 0, np.searchsorted(self._times, time, side="right"))
        positions = np.minimum(np.searchsorted(self._places, self._place(ranks, times)), len(self) - 1)
        found = (self._references[ranks] == references) & (self._ranks[positions] == ranks)
        found &= self._places[positions] >= self._place(ranks, times)
        return np.where(found, positions, -1)

    def _place(self, ranks: np.ndarray, times: np.ndarray | int) -> np.ndarray:
        return ranks.astype(np.int64) * (len(self._times) + 1) + times


def build_index(files: LabelFiles, batches: Iterable[LabelBatch]) -> tuple[LabelIndex, LabelCounts]:
    """Return the labels of all rows, and what was counted of them."""
    labels = files.labels
    rows = invalid = unlabelled = 0
    none = [np.zeros(0, object if label.is_text else np.float32) for label in labels]
    parts: list[tuple[np.ndarray, ...]] = [
        (np.zeros(0, np.uint64), np.zeros(0, "datetime64[us]"), np.zeros(0, np.uint64), *none)
    ]
    for batch in batches:
        valid = batch.valid
        rows += len(valid)
        unlabelled += int(batch.unlabelled.sum())
        invalid += int((~valid & ~batch.unlabelled).sum())
        arrays = [array[valid] for array in batch.labels]
        numbers = feedback_log.label_numbers(arrays, labels)
        parts.append((numbers_of(batch.references[valid], files.reference), batch.time[valid], numbers, *arrays))
    references, time, numbers, *arrays = (np.concatenate(column) for column in zip(*parts, strict=True))
    index = LabelIndex(references, time, numbers, arrays)
    ambiguous = int(index.rows[index.ambiguous].sum())
    repeated = int((index.rows[~index.ambiguous] - 1).sum())
    return index, LabelCounts(rows, invalid, ambiguous, repeated, unlabelled)
