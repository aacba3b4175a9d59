"""Permutation importance: how much a model loses when the values of one field are shuffled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.metrics import r2_score

from ..contract.columns import Columns, take
from ..contract.schema import Contract
from ..version.runtime import Runtime
from .dataset import LabelledRows
from .samples import positions

#: Rows that are scored for all fields together, and for each field: of many fields each gets fewer, so that the time
#: does not grow with their number. Few rows are shuffled several times.
TOTAL_ROWS, LEAST_ROWS, MOST_ROWS, MOST_REPEATS = 150_000, 200, 5000, 5
#: Numbers that one call takes and returns, which bounds the memory.
VALUES_AT_ONCE = 2**21


class Importance(NamedTuple):
    """The loss of accuracy (of R² for a regression) when a field is shuffled, by field, largest first.

    Of several labels it is the mean of theirs; without label, predictions are compared with those for unshuffled rows.
    `rows` is the number of hold-out rows that it was measured on.
    """

    losses: dict[str, float]
    rows: int


def importance(runtime: Runtime, holdout: LabelledRows, contract: Contract) -> Importance:
    """Return the importance of each field; rows and permutations are drawn with fixed seeds."""
    names = [field.name for field in contract.row]
    wanted = int(np.clip(TOTAL_ROWS // len(names), LEAST_ROWS, MOST_ROWS))
    where = positions(len(holdout.label), wanted)
    rows, count = take(holdout.columns, where), len(where)
    repeats = min(MOST_REPEATS, max(1, wanted // count))
    outputs = contract.labels or (contract.label,)
    metric = r2_score if contract.label.kind == "float" else _accuracy

    def predicted(columns: Columns) -> np.ndarray:
        predictions = runtime.score(columns)
        return np.stack([predictions[field.name] for field in outputs], axis=1)

    unshuffled = predicted(rows)
    actual = holdout.label[where].reshape(count, -1) if contract.labels else unshuffled
    whole = float(metric(actual, unshuffled))

    width = len(contract.model_columns) + sum(field.length or 1 for field in contract.prediction)
    random, at_once = np.random.default_rng(0), max(1, VALUES_AT_ONCE // (count * width))
    shuffles = [(name, random.permutation(count)) for name in names for _ in range(repeats)]
    losses = dict.fromkeys(names, 0.0)
    for start in range(0, len(shuffles), at_once):
        part = shuffles[start : start + at_once]
        found = predicted(_shuffled(rows, part, count))
        for (name, _), label in zip(part, np.split(found, len(part)), strict=True):
            losses[name] += (whole - float(metric(actual, label))) / repeats
    return Importance(dict(sorted(losses.items(), key=lambda item: -item[1])), count)


def _accuracy(actual: np.ndarray, predicted: np.ndarray) -> float:
    return float((actual == predicted).mean())


def _shuffled(rows: Columns, shuffles: list[tuple[str, np.ndarray]], count: int) -> Columns:
    """Return the rows once for each shuffle, one after the other, each with one field shuffled."""
    columns = {name: np.concatenate([array] * len(shuffles)) for name, array in rows.items()}
    for i, (name, order) in enumerate(shuffles):
        columns[name][i * count : (i + 1) * count] = rows[name][order]
    return columns
