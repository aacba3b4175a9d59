"""What is wrong with a value, in plain words, from an error of pydantic."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: By the type of the error; another one has pydantic's own words.
CURES = {
    "bool_parsing": "write true or false",
    "dict_type": "write a dict",
    "finite_number": "write a finite number",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "greater_than": "write more than {gt}",
    "greater_than_equal": "write at least {ge}",
    "int_from_float": "write a whole number",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "less_than": "write less than {lt}",
    "less_than_equal": "write at most {le}",
    "list_type": "write a list",
    "literal_error": "write {expected}",
    "missing": "is missing",
    "model_type": "write a dict",
    "string_type": "write a text",
    "value_error": "{error}",
}


def cure(error: ErrorDetails, keys: Collection[str] = ()) -> str:
    """Return what to write instead; `keys` are those that there are, for one that there is not."""
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(error["loc"][-1]), keys, 1)
        guess = f" (did you mean {near[0]!r}?)" if near else ""
        return f"there is no such key{guess}; the keys are {', '.join(keys)}"
    text = CURES.get(error["type"])
    return text.format(**error.get("ctx", {})) if text else error["msg"]


def describe(error: ErrorDetails, keys: Collection[str] = ()) -> str:
    """Return what to write instead of a value, and the value."""
    text = cure(error, keys)
    return text if error["type"] in ("extra_forbidden", "missing") else f"{text}, not {error['input']!r:.200}"
