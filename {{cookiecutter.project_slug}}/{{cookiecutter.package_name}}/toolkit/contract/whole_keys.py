"""Keys that are whole numbers: in columns, as the text of their digits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

#: Beyond it, a float64 may stand for several whole numbers.
MAX_WHOLE_FLOAT = 2.0**53 - 1
#: The most digits of a number of 64 bits, and its sign.
MAX_LENGTH = 20


def digits_of(text: str) -> str | None:
    """Return the digits of a whole number that a file has as text, such as "12", "-7" or "12.0"; None for others."""
    # pandas writes whole numbers as 12.0 where some are missing.
    digits = text.removesuffix(".0")
    return digits if digits.isascii() and digits.removeprefix("-").isdigit() and len(digits) <= MAX_LENGTH else None


def whole_text(value: Any) -> str:
    """Return a whole number of 64 bits in digits, "" for anything else."""
    if isinstance(value, str):
        value = digits_of(value)
        is_whole = value is not None
    elif isinstance(value, float | np.floating):
        is_whole = bool(abs(float(value)) <= MAX_WHOLE_FLOAT) and value == int(value)
    else:
        is_number = isinstance(value, int | np.integer | Decimal) and not isinstance(value, bool)
        is_whole = is_number and bool(np.isfinite(float(value))) and value == int(value)
    return str(number) if is_whole and abs(number := int(value)) < 2**63 else ""
