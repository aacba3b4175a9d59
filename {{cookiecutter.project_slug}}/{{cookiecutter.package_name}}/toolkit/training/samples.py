"""Samples of rows: the example that verifies a version, the background of its explanations, rows for costly checks."""

from __future__ import annotations

import numpy as np

from ..contract.columns import Columns, as_records, json_values, take
from ..contract.schema import Contract
from ..version.artifact import Example
from ..version.runtime import Runtime
from .dataset import LabelledRows

EXAMPLE_ROWS = 5
#: More rows make explanations steadier and slower: with ONNX, 50 rows and 7 fields take a few milliseconds.
BACKGROUND_ROWS = 50


def example(runtime: Runtime, rows: LabelledRows, contract: Contract) -> Example:
    """Return the first rows as a caller would send them, with their predictions."""
    columns = take(rows.columns, np.arange(min(EXAMPLE_ROWS, len(rows.label))))
    values = {field.name: json_values(columns[field.name], field) for field in contract.row}
    records = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return Example(rows=records, predictions=as_records(runtime.score(columns), contract))


def background(rows: LabelledRows) -> Columns:
    """Return a sample of rows, drawn with a fixed seed, against which predictions are explained."""
    return take(rows.columns, positions(len(rows.label), BACKGROUND_ROWS))


def positions(count: int, wanted: int) -> np.ndarray:
    """Return the positions of some of `count` rows, ascending: of all if they are few, else drawn with a fixed seed."""
    if count <= wanted:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, wanted, replace=False))


def of_columns(columns: Columns, wanted: int) -> Columns:
    """Return some rows of columns, drawn as `positions` says."""
    count = len(next(iter(columns.values())))
    return columns if count <= wanted else take(columns, positions(count, wanted))
