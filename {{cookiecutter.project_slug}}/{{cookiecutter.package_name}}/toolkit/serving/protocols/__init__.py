"""Protocols that others have defined, over the same scoring: one module each."""

from __future__ import annotations

from ...common.errors import RejectedError
from ...contract.json_rows import InvalidRowsError

#: Problems repeated in one message.
NAMED = 20
#: Characters of a value that are repeated in a message.
SHOWN = 60


def sentence(error: RejectedError | InvalidRowsError) -> str:
    """Return what is wrong in one line, for protocols whose errors are a message."""
    if not isinstance(error, InvalidRowsError):
        return str(error)
    named = []
    for row, field, value, reason in error.problems[:NAMED]:
        where = "" if row is None else f"row {row}: "
        named.append(f"{where}{shown(field)} = {shown(value)}: {reason}")
    count = len(error.problems)
    more = f"; and {count - NAMED} more" if count > NAMED else ""
    return f"{error}: {'; '.join(named)}{more}"


def shown(value: object) -> str:
    """Return a caller's value as it is repeated to them, cut to what a line bears."""
    # Not the repr() of all of it: a value may have as many characters, or digits, as the body has bytes.
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > SHOWN * 3:
        return "a number of more than 50 digits"
    text = repr(value[: SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
