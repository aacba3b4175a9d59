"""Violations as JSON, in answers of the service and in dead letters of the stream."""

from __future__ import annotations

from typing import Any

import orjson

from .schema import Violation

#: Violations in one answer; a body of a million invalid rows must not get an answer of the same size.
MAX_JSON_VIOLATIONS = 100
#: Characters of a caller's value that an answer repeats.
MAX_JSON_VALUE_LENGTH = 200


def as_json(violations: list[Violation]) -> list[dict[str, Any]]:
    """Return the first violations as objects that JSON can hold, long values cut off."""
    return [
        violation._asdict() | {"field": _cut(violation.field), "value": _cut(violation.value)}
        for violation in violations[:MAX_JSON_VIOLATIONS]
    ]


def _cut(value: Any) -> Any:
    """Return a caller's value, or the beginning of its text if that is long."""
    if isinstance(value, str):
        return value if len(value) <= MAX_JSON_VALUE_LENGTH else value[:MAX_JSON_VALUE_LENGTH] + "…"
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # for example a whole number of more than 64 bits
        return _cut(repr(value))
    return value if len(text) <= MAX_JSON_VALUE_LENGTH else _cut(text)
