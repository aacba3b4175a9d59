"""Numbers as people read them."""

from __future__ import annotations


def short(value: object) -> str:
    """Return a value as text, a number with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
