"""Labels joined with predictions: by the prediction's id in the files, or by a key in the prediction log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..contract.columns import ARRAYS, json_values
from ..contract.schema import FieldSpec
from ..monitoring import feedback_log
from ..monitoring.feedback_log import Label
from ..monitoring.prediction_ids import decode
from .id_numbers import id_numbers
from .label_files import LabelBatch, LabelFiles, Reference
from .label_index import LabelIndex, numbers_of
from .log_blocks import LogBlock


class Joined(NamedTuple):
    """Labels of predictions, with 64 bits for each id and for its labels (n,)."""

    labels: list[Label]
    id_numbers: np.ndarray
    label_numbers: np.ndarray


def join_by_id(files: LabelFiles, index: LabelIndex, batches: Iterable[LabelBatch]) -> Iterator[Joined]:
    """Yield the labels of files that have ids, each once."""
    done = index.ambiguous.copy()
    for batch in batches:
        rows = np.flatnonzero(batch.valid)
        numbers = numbers_of(batch.references[rows], files.reference)
        positions = index.find(numbers, batch.time[rows])
        distinct, first = np.unique(positions, return_index=True)
        new = np.sort(first[~done[distinct]])
        done[distinct] = True
        ids = batch.references[rows[new]].tolist()
        versions = [found.version for text in ids if (found := decode(text, files.model))]
        values = [array[rows[new]] for array in batch.labels]
        yield _joined(ids, versions, values, files.labels, numbers[new], index.numbers[positions[new]])


def join_by_key(files: LabelFiles, index: LabelIndex, blocks: Iterable[LogBlock], used: np.ndarray) -> Iterator[Joined]:
    """Yield the labels of logged predictions whose key is in the files; `used` becomes the mask of their labels."""
    for block in blocks:
        if block.shadow or not _has_labels(block, files):
            continue
        references = _block_references(block, files.reference)
        if references is None:
            continue
        positions = index.find_next(numbers_of(references, files.reference), block.time if files.timed else None)
        if references.dtype == object:
            positions[references == ""] = -1
        rows = np.flatnonzero(positions >= 0)
        rows = rows[~index.ambiguous[positions[rows]]]
        chosen = positions[rows]
        used[chosen] = True
        ids = [block.ids[row] for row in rows.tolist()]
        values = [array[chosen] for array in index.labels]
        versions = [block.version] * len(ids)
        numbers = id_numbers(ids)
        yield _joined(ids, versions, values, files.labels, numbers, index.numbers[chosen])


def _has_labels(block: LogBlock, files: LabelFiles) -> bool:
    """Whether the predictions are of this model, and of a version with these labels."""
    prediction = feedback_log.identify(block.ids[0], files.model)
    return not isinstance(prediction, str) and not feedback_log.mismatch(prediction, files.labels)


def _block_references(block: LogBlock, reference: Reference) -> np.ndarray | None:
    """Return what the labels refer to in the rows of a block; None if its version has no such field."""
    if reference.by == "key":
        return np.array([key or "" for key in block.keys], object)
    values = block.inputs.get(reference.name)
    if values is None:
        return None
    field = reference.field
    if field.is_text:
        return np.array([str(value or "") for value in values], object)
    return ARRAYS[field.kind](values, field)


def _joined(
    ids: list[str],
    versions: list[int],
    values: list[np.ndarray],
    labels: tuple[FieldSpec, ...],
    id_numbers: np.ndarray,
    label_numbers: np.ndarray,
) -> Joined:
    names = [label.name for label in labels]
    lists: list[list[Any]] = [json_values(array, label) for array, label in zip(values, labels, strict=True)]
    rows = zip(ids, versions, *lists, strict=True)
    made = [Label(text, version, dict(zip(names, actual, strict=True))) for text, version, *actual in rows]
    return Joined(made, id_numbers, label_numbers)
