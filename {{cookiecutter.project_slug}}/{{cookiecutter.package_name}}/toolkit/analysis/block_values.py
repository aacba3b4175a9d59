"""Which rows of a block have values that a contract's fields can have: one that does not costs the others nothing."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..contract.schema import Contract, FieldSpec
from ..version.outputs import DTYPES
from .log_blocks import LogBlock


def fits(block: LogBlock, contract: Contract) -> np.ndarray:
    """Return a mask of the rows (n,) whose values are of the types of all fields; none if a field is missing."""
    found = np.ones(len(block.ids), bool)
    for lists, fields in ((block.inputs, contract.row), (block.outputs, contract.prediction)):
        for field in fields:
            if field.name not in lists:
                return np.zeros(len(block.ids), bool)
            whole = lists is block.outputs and DTYPES.get(field.kind) is np.int64
            fit = _is_whole if whole and field.width is None else partial(_fits, field=field)
            found &= np.fromiter(map(fit, lists[field.name]), bool, len(found))
    return found


def rows_at(block: LogBlock, positions: list[int]) -> LogBlock:
    """Return the rows of a block at some positions."""
    inputs, outputs = (
        {name: [values[i] for i in positions] for name, values in part.items()}
        for part in (block.inputs, block.outputs)
    )
    ids, keys = [block.ids[i] for i in positions], [block.keys[i] for i in positions]
    return block._replace(time=block.time[positions], ids=ids, keys=keys, inputs=inputs, outputs=outputs)


def _fits(value: Any, field: FieldSpec) -> bool:
    if field.is_text:
        return value is None or isinstance(value, str)
    if field.kind == "map":
        return isinstance(value, dict) and all(_is_number(value.get(name, "")) for name in field.names)
    if field.width is not None:
        return isinstance(value, list) and len(value) == field.width and all(map(_is_number, value))
    return _is_number(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < 2**63


def _is_number(value: Any) -> bool:
    # Missing numbers are null.
    return value is None or isinstance(value, int | float)
