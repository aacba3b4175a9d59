"""Errors as one line of text, for protocols whose errors have nothing but a message."""

from __future__ import annotations

from ...common.errors import RejectedError
from ...contract.json_rows import InvalidRowsError

#: Violations in one line.
MAX_LINE_VIOLATIONS = 20
#: Characters of a caller's value that a line repeats.
MAX_LINE_VALUE_LENGTH = 60


def error_line(error: RejectedError | InvalidRowsError) -> str:
    """Return an error as one line, with the violations if rows are invalid."""
    if not isinstance(error, InvalidRowsError):
        return str(error)
    texts = []
    for row, field, value, reason in error.violations[:MAX_LINE_VIOLATIONS]:
        place = "" if row is None else f"row {row}: "
        texts.append(f"{place}{quote(field)} = {quote(value)}: {reason}")
    count = len(error.violations)
    more = f"; and {count - MAX_LINE_VIOLATIONS} more" if count > MAX_LINE_VIOLATIONS else ""
    return f"{error}: {'; '.join(texts)}{more}"


def quote(value: object) -> str:
    """Return a caller's value for a message, cut off if it is long."""
    # Not the repr() of all of it: a value may have as many characters, or digits, as the body has bytes.
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > MAX_LINE_VALUE_LENGTH * 3:
        return "a number of more than 50 digits"
    text = repr(value[: MAX_LINE_VALUE_LENGTH + 1] if isinstance(value, str) else value)
    return text if len(text) <= MAX_LINE_VALUE_LENGTH else f"{text[:MAX_LINE_VALUE_LENGTH]}…"
