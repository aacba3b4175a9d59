"""The rarest rows, as a person would write them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, timedelta
from typing import Any

import numpy as np

from ..contract.columns import json_values
from ..contract.schema import Contract, FieldSpec
from .summary import OutlierRow
from .version_counts import RareRow
from .window import EPOCH, Window


def of(rows: Iterable[RareRow], contract: Contract, window: Window, where: range) -> tuple[OutlierRow, ...]:
    """Return rows in some intervals of a window, the rarest first, with inputs as callers send them."""
    start, end = window.time(where.start), window.time(where.stop)
    found = []
    for row in sorted(rows, key=lambda row: row.score, reverse=True):
        time = EPOCH + timedelta(microseconds=row.time)
        if start <= time < end:
            inputs = {field.name: _as_sent(row.inputs[field.name], field) for field in contract.row}
            found.append(
                OutlierRow(id=row.id, time=time.astimezone(UTC), score=row.score, inputs=inputs, outputs=row.outputs)
            )
    return tuple(found)


def _as_sent(value: Any, field: FieldSpec) -> Any:
    with np.errstate(over="ignore"):  # see `of_block`
        array = np.array([value], dtype=object if field.is_text else np.float32)
    return json_values(array, field)[0]
