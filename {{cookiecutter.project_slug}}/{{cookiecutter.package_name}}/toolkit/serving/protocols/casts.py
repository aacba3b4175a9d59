"""The casts of MLflow's signature enforcement, as far as they keep the meaning of a value."""

from __future__ import annotations

import math
from typing import Any

from ...contract.schema import FALSE_TEXTS, MISSING_TEXTS, TRUE_TEXTS, Contract, FieldSpec
from ...contract.whole_keys import digits_of


def cast(row: dict[str, Any], contract: Contract) -> dict[str, Any]:
    """Return a row after MLflow's casts, without those that would change the meaning of a value."""
    return {name: _cast(value, contract.by_name[name]) for name, value in row.items()}


def _cast(value: Any, field: FieldSpec) -> Any:
    if isinstance(value, list):
        return [_cast(part, field) if isinstance(part, list) else _number(part) for part in value]
    if isinstance(value, str) and value in MISSING_TEXTS and value not in field.categories:
        return None
    if field.is_time or (field.is_text and not field.whole):
        return None if isinstance(value, float) and math.isnan(value) else value
    if field.kind == "bool" and isinstance(value, str):
        return value.lower() in TRUE_TEXTS if value.lower() in TRUE_TEXTS | FALSE_TEXTS else value
    if field.whole and isinstance(value, str):
        digits = digits_of(value)
        return value if digits is None else int(digits)
    number = _number(value)
    if isinstance(number, float) and math.isnan(number):
        return None
    return bool(number) if field.kind == "bool" and number in (0, 1) else number


def _number(value: Any) -> Any:
    """Return the number that a bool or a text stands for, anything else as it is."""
    if isinstance(value, bool):
        return int(value)
    # As pandas reads it in data.load() and batch. Python's float() also reads "1_000", digits of other scripts, " nan".
    if not isinstance(value, str) or "_" in value or not value.isascii():
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return value if math.isnan(number) and value not in MISSING_TEXTS else number
