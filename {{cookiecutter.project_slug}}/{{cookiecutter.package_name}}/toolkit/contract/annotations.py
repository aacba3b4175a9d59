"""The annotations by which pydantic validates the values of fields in JSON."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import AfterValidator, BeforeValidator, Field

from . import times
from .schema import FieldSpec
from .whole_keys import MAX_WHOLE_FLOAT

#: What marks a bound for pydantic.
MARKS: dict[str, Any] = {"at_least": Ge, "above": Gt, "at_most": Le, "below": Lt}
#: What databases and files hold as a whole number at most.
MAX_WHOLE_KEY = 2**63 - 1
DECIMAL = r"[+-]?[0-9]*\.?[0-9]+"
DecimalText = Annotated[str, Field(pattern=f"^{DECIMAL}$", max_length=64)]


def annotation(field: FieldSpec) -> Any:
    """Return the annotation by which pydantic validates a field; 3.0 counts as the whole number 3."""
    kind = _value(field)
    return kind | None if field.nullable else kind


def _value(field: FieldSpec) -> Any:
    if field.is_text:
        return _text(field)
    if field.is_time:
        return _time(field)
    if field.kind == "bool":
        return bool
    value: Any = _number(field)
    for size in reversed(field.shape or ([] if field.length is None else [field.length])):
        value = Annotated[list[value], Len(size, size)]
    return value


def _text(field: FieldSpec) -> Any:
    if field.kind == "category":
        return Literal[field.categories]
    if field.whole:
        bounds = ([Ge(-most), Le(most)] for most in (MAX_WHOLE_KEY, MAX_WHOLE_FLOAT))
        return _integer(*bounds)
    # "" is a missing value everywhere.
    return Annotated[str, Len(max(1, field.min_length), field.max_length)]


def _number(field: FieldSpec) -> Any:
    number: type[float] = int if field.kind == "int" else float
    marks = [MARKS[name](number(bound)) for name, bound in field.bounds.items()]
    if field.kind == "int":
        return _integer(marks, marks)
    if field.decimal:
        return Annotated[(float, *marks, BeforeValidator(_decimal, json_schema_input_type=float | DecimalText))]
    return Annotated[(float, *marks)]


def _integer(marks: list[Any], float_marks: list[Any]) -> Any:
    # JSON Schema's integers include 3.0, so the schema shows one integer type.
    as_integer = Field(json_schema_extra={"type": "integer"})
    whole = Annotated[(float, *float_marks, AfterValidator(_whole), as_integer)]
    return Annotated[Annotated[(int, *marks)] | whole, Field(union_mode="left_to_right")]


def _time(field: FieldSpec) -> Any:
    def parsed(value: Any) -> Any:
        # Numbers are no times: some mean seconds by them, others milliseconds or days.
        return times.parse(value, field.kind) if isinstance(value, str) else value

    marks = [MARKS[name](times.from_seconds(bound, field.kind)) for name, bound in field.bounds.items()]
    return Annotated[(times.TYPES[field.kind], *marks, BeforeValidator(parsed))]


def _whole(value: float) -> float:
    if not value.is_integer():
        raise ValueError("not a whole number")
    return value


def _decimal(value: Any) -> Any:
    is_text = isinstance(value, str) and len(value) <= 64 and re.fullmatch(DECIMAL, value)
    return float(value) if is_text else value
