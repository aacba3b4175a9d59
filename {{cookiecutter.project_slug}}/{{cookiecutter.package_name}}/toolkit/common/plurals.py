"""How many things there are, in words."""

from __future__ import annotations


def count(number: int, singular: str, plural: str = "") -> str:
    """Return a number of things, as in "1 row", "2,000 rows", or with a verb "1 row was" and "2 rows were"."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def days(number: float) -> str:
    """Return a number of days, as in "1 day" and "0.5 days"."""
    return f"{number:g} {'day' if number == 1 else 'days'}"
