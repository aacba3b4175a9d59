"""The casts of MLflow's signature enforcement, as far as they keep the meaning of a value."""

from __future__ import annotations

import math
from typing import Any

from ...contract.schema import FALSE_TEXTS, MISSING_TEXTS, TRUE_TEXTS, Contract, FieldSpec


def cast(row: dict[str, Any], contract: Contract) -> dict[str, Any]:
    """Return a row after MLflow's casts, without those that would change the meaning of a value."""
    return {name: _cast(value, contract.by_name[name]) for name, value in row.items()}


def _cast(value: Any, field: FieldSpec) -> Any:
    if field.kind == "vector":
        return [_number(part) for part in value] if isinstance(value, list) else value
    if field.kind == "category":
        missing = value in MISSING_TEXTS if isinstance(value, str) else isinstance(value, float) and math.isnan(value)
        return None if missing and value not in field.categories else value
    if field.kind == "bool" and isinstance(value, str) and value.lower() in TRUE_TEXTS | FALSE_TEXTS:
        return value.lower() in TRUE_TEXTS
    number = _number(value)
    if isinstance(number, float) and math.isnan(number):
        return None
    return bool(number) if field.kind == "bool" and number in (0, 1) else number


def _number(value: Any) -> Any:
    """Return the number that a bool or a text stands for, anything else as it is."""
    if isinstance(value, bool):
        return int(value)
    # Python's float() also reads "1_000" and " 1"; data.load() and batch do not.
    if not isinstance(value, str) or "_" in value or value != value.strip():
        return value
    try:
        return float(value)
    except ValueError:
        return value
