"""Rows that are kept with a version: the example that verifies it, and the background of its explanations."""

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
    count = len(rows.label)
    where = np.random.default_rng(0).choice(count, min(BACKGROUND_ROWS, count), replace=False)
    return take(rows.columns, np.sort(where))
