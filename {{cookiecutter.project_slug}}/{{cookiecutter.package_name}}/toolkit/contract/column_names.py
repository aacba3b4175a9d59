"""Names of columns against the fields of a contract: which are unknown, and which fields have no column."""

from __future__ import annotations

import difflib
import heapq
import itertools
from collections.abc import Collection, Iterable
from typing import NamedTuple

from .schema import Contract, FieldSpec

#: Names in a message, and characters of each: a request may bring a million.
MAX_NAMES, MAX_LENGTH = 10, 60
#: Names that are compared with that of a field.
MAX_COMPARED = 100


class NameCheck(NamedTuple):
    """Columns that are no fields, and optional fields without a column, each in a sentence, "" if there are none."""

    unknown: str
    missing: str
    #: Whether an unknown column has nearly the name of a field that has no column.
    misspelled: bool

    @property
    def sentences(self) -> list[str]:
        """What there is to say."""
        return [text for text in (self.unknown, self.missing) if text]


def check(names: Iterable[str], contract: Contract) -> NameCheck:
    """Compare the names of columns with the fields; those of a prediction are known, and required fields are there."""
    given = set(names)
    absent = [field for field in contract.row if not is_given(field, given)]
    unknown = given - contract.by_name.keys() - {field.name for field in contract.prediction}
    if unknown:
        unknown -= set(contract.model_columns)
    if not unknown and not absent:
        return NO_DIFFERENCE
    shown = {name: nearest(name, absent) for name in heapq.nsmallest(MAX_NAMES, unknown)}
    hints = [_cut(name) + (f" (did you mean {near!r}?)" if near else "") for name, near in shown.items()]
    defaults = [
        f"{field.name!r} ({'missing' if field.default is None else repr(field.default)})"
        for field in absent[:MAX_NAMES]
    ]
    return NameCheck(
        f"columns that are no fields of Row are ignored: {_join(hints, len(unknown))}" if unknown else "",
        f"fields that have no column get their default in all rows: {_join(defaults, len(absent))}" if absent else "",
        any(shown.values()),
    )


NO_DIFFERENCE = NameCheck("", "", misspelled=False)


def is_given(field: FieldSpec, names: Collection[str]) -> bool:
    """Whether a field has its column, or a vector one for each element."""
    return field.name in names or (field.length is not None and all(name in names for name in field.columns))


def nearest(name: str, fields: Iterable[FieldSpec]) -> str:
    """Return the field whose name is nearly the same, "" if there is none."""
    by_letters = {letters(field.name): field.name for field in fields}
    found = difflib.get_close_matches(letters(name[:MAX_LENGTH]), by_letters, 1)
    return by_letters[found[0]] if found else ""


def misspelled(field: FieldSpec, unknown: Iterable[str]) -> str:
    """Return the name, of some that are no fields, that is nearly that of a field, "" if there is none."""
    by_letters = {letters(name[:MAX_LENGTH]): name for name in heapq.nsmallest(MAX_COMPARED, unknown)}
    found = difflib.get_close_matches(letters(field.name), by_letters, 1)
    return by_letters[found[0]] if found else ""


def guesses(missing: Iterable[FieldSpec], unknown: Iterable[str]) -> str:
    """Return which unknown names are probably those of missing fields, in parentheses, "" if none is."""
    unknown = list(unknown)
    found = [(misspelled(field, unknown), field.name) for field in itertools.islice(missing, MAX_NAMES)]
    texts = [f"{_cut(name)} is probably {field!r}" for name, field in found if name]
    return f" ({', '.join(texts)})" if texts else ""


def letters(name: str) -> str:
    """Return a name without what people write now so, now so: capitals, spaces, hyphens, underscores."""
    return "".join(character for character in name.lower() if character.isalnum())


def _cut(name: str) -> str:
    return repr(name if len(name) <= MAX_LENGTH else f"{name[:MAX_LENGTH]}…")


def _join(texts: list[str], count: int) -> str:
    return ", ".join(texts) + (f" and {count - len(texts)} more" if count > len(texts) else "")
