"""What follows from `model/schema.py`: the columns of a row and of a prediction, and what each of them allows.

A contract travels with every model version as JSON, so that a version checks its rows by the schema that it was
trained with. Numbers are float32 from here on, in training, service and batch alike: all of them see the same values.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types
import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..common.errors import UserError

FLOAT32_LARGEST = float(np.finfo(np.float32).max)
#: float32 holds every whole number up to here; a larger one would silently become another.
WHOLE_LARGEST = 2**24

#: How text writes a missing value; a word that the schema allows is a word, whatever it looks like.
MISSING_TEXTS = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "None"})
#: How text writes truth values, in small letters.
TRUE_TEXTS, FALSE_TEXTS = frozenset({"true", "1", "1.0"}), frozenset({"false", "0", "0.0"})


class Violation(NamedTuple):
    """One value that breaks the contract; `row` counts from 0 and is None where the whole input is meant."""

    row: int | None
    field: str
    value: Any
    reason: str


class FieldSpec(BaseModel):
    """One field of a row or of a prediction."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Literal["float", "int", "bool", "category", "vector"]
    nullable: bool = False
    required: bool = True
    default: bool | int | float | str | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    categories: tuple[str, ...] = ()
    length: int | None = None
    description: str = ""

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that hold, by name, those of the number format included."""
        largest = WHOLE_LARGEST if self.kind == "int" else FLOAT32_LARGEST
        named = {"at_least": self.at_least, "above": self.above, "at_most": self.at_most, "below": self.below}
        bounds = {name: bound for name, bound in named.items() if bound is not None}
        if self.at_least is None and self.above is None:
            bounds["at_least"] = -largest
        if self.at_most is None and self.below is None:
            bounds["at_most"] = largest
        return bounds

    @property
    def expects(self) -> str:
        """What the field allows, in words; the reason given for every value that it does not."""
        if self.kind == "category":
            text = "one of " + ", ".join(repr(choice) for choice in self.categories)
        elif self.kind == "bool":
            text = "true or false"
        else:
            text = {"float": "a number", "int": "a whole number", "vector": f"a list of {self.length} numbers"}[
                self.kind
            ]
            limits = [
                f"{name.replace('_', ' ')} {bound:g}"
                for name, bound in self.bounds.items()
                if abs(bound) != FLOAT32_LARGEST
            ]
            text += f", {' and '.join(limits)}" if limits else ""
        return text + (", or missing" if self.nullable else "")


class Contract(BaseModel):
    """The columns of a row and of a prediction."""

    model_config = ConfigDict(frozen=True)

    row: tuple[FieldSpec, ...]
    prediction: tuple[FieldSpec, ...]

    @property
    def label(self) -> FieldSpec:
        """What the model predicts: the first field of a prediction."""
        return self.prediction[0]

    @property
    def task(self) -> Literal["regression", "classification"]:
        """What kind of problem it is, by the kind of the label."""
        return "regression" if self.label.kind == "float" else "classification"

    @cached_property
    def by_name(self) -> dict[str, FieldSpec]:
        """The input columns by name."""
        return {column.name: column for column in self.row}

    @property
    def model_columns(self) -> list[str]:
        """The names of the columns that the model sees: those of a row, vectors spread out."""
        return [name for column in self.row for name in spread(column)]


def spread(column: FieldSpec) -> list[str]:
    """Return the names under which the model sees a column: its own, or one for each element of a vector."""
    return [f"{column.name}_{i}" for i in range(column.length)] if column.length is not None else [column.name]


def derive(row: type[BaseModel], prediction: type[BaseModel]) -> Contract:
    """Return the contract that two pydantic models state; `UserError` lists every field that cannot be one."""
    problems: list[str] = []
    contract = Contract(row=tuple(_columns(row, problems)), prediction=tuple(_columns(prediction, problems)))
    for model in (row, prediction):
        decorators = model.__pydantic_decorators__
        if decorators.validators or decorators.field_validators or decorators.model_validators:
            problems.append(
                f"{model.__name__} has validators: they cannot travel with the model; put the check in data.load()"
            )
    if not contract.row or not contract.prediction:
        problems.append("Row and Prediction need at least one field each")
    else:
        problems += _label_problems(contract)
    if problems:
        raise UserError("model/schema.py:\n" + "\n".join(f"  - {problem}" for problem in problems))
    return contract


def _label_problems(contract: Contract) -> Iterator[str]:
    label = contract.label
    if label.kind == "vector" or label.nullable:
        yield f"Prediction.{label.name}, the label, must be a float, int, bool or Literal, and not optional"
    if label.name in contract.by_name:
        yield f"Prediction.{label.name}, the label, is a field of Row too: the model would be told the answer"
    names = contract.model_columns
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"Row.{name}: an element of a vector has that name too; rename one of the two"
    for name in ("id", "version"):
        if any(column.name == name for column in contract.prediction):
            yield f"Prediction.{name}: the service adds a field of that name; rename it"


def _columns(model: type[BaseModel], problems: list[str]) -> Iterator[FieldSpec]:
    for name, field in model.model_fields.items():
        try:
            yield _column(name, field)
        except ValueError as error:
            problems.append(f"{model.__name__}.{name}: {error}")


def _column(name: str, field: FieldInfo) -> FieldSpec:
    if field.alias or field.validation_alias:
        raise ValueError("aliases are not supported; name the field as the data does")
    annotation, nullable, metadata = _unwrap(field.annotation)
    facts: dict[str, Any] = {"name": name, "nullable": nullable, "description": field.description or ""}
    metadata += field.metadata
    if get_origin(annotation) is list:
        item, item_nullable, item_metadata = _unwrap(get_args(annotation)[0])
        if item is not float or item_nullable:
            raise ValueError("a list must be a list[float]")
        facts |= {"kind": "vector"} | _constraints(metadata, lengths=True) | _constraints(item_metadata)
        if "length" not in facts:
            raise ValueError("a list needs a fixed length: Field(min_length=64, max_length=64)")
        if nullable or not field.is_required():
            raise ValueError("a vector must not be optional")
    elif words := _words(annotation):
        facts |= {"kind": "category", "categories": words} | _constraints(metadata)
    elif annotation in (bool, int, float):
        facts |= {"kind": annotation.__name__} | _constraints(metadata)
        if annotation is bool and facts.keys() & {"at_least", "above", "at_most", "below"}:
            raise ValueError("a bool takes no bounds")
    else:
        raise ValueError(f"{annotation!r} is not a float, int, bool, Literal of words, str Enum or list[float]")
    if not field.is_required():
        facts |= {"required": False, "default": _default(field, nullable)}
    column = FieldSpec(**facts)
    for bound in column.bounds.values():
        if column.kind == "int" and abs(bound) > WHOLE_LARGEST:
            raise ValueError(f"whole numbers are exact up to {WHOLE_LARGEST}; declare larger ones as float")
        if abs(bound) > FLOAT32_LARGEST:
            raise ValueError(f"numbers are float32: no bound is beyond {FLOAT32_LARGEST:.3g}")
    return column


def _default(field: FieldInfo, nullable: bool) -> bool | float | str | None:
    default = field.default
    if field.default_factory is not None or default is PydanticUndefined:
        raise ValueError("a default must be a plain value")
    if default is None and not nullable:
        raise ValueError("the default is None, which the type does not allow; add '| None'")
    if not _allows(field, default):
        raise ValueError(f"the default {default!r} is not a value that the field allows")
    return default.value if isinstance(default, enum.Enum) else default


def _allows(field: FieldInfo, value: Any) -> bool:
    kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def _unwrap(annotation: Any) -> tuple[Any, bool, list[Any]]:
    """Return the type inside `Annotated` and `| None`, whether None was there, and the metadata met on the way."""
    nullable, metadata = False, []
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *found = get_args(annotation)
            for item in found:
                metadata += item.metadata if isinstance(item, FieldInfo) else [item]
        elif get_origin(annotation) in (Union, types.UnionType):
            inner = [arg for arg in get_args(annotation) if arg is not type(None)]
            nullable = nullable or len(inner) < len(get_args(annotation))
            if len(inner) != 1:
                raise ValueError("a field has one type, and may be missing; it cannot be one of several")
            annotation = inner[0]
        else:
            return annotation, nullable, metadata


def _words(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        values = tuple(member.value for member in annotation)
    else:
        return ()
    if not all(isinstance(value, str) and value for value in values):
        raise ValueError(f"the allowed values {values!r} must be words: non-empty strings")
    return values


def _constraints(metadata: list[Any], *, lengths: bool = False) -> dict[str, Any]:
    bounds = {
        annotated_types.Ge: ("at_least", "ge"),
        annotated_types.Gt: ("above", "gt"),
        annotated_types.Le: ("at_most", "le"),
        annotated_types.Lt: ("below", "lt"),
    }
    found: dict[str, Any] = {}
    shortest = longest = None
    for item in metadata:
        if type(item) in bounds:
            name, attribute = bounds[type(item)]
            found[name] = getattr(item, attribute)
        elif lengths and isinstance(item, annotated_types.MinLen):
            shortest = item.min_length
        elif lengths and isinstance(item, annotated_types.MaxLen):
            longest = item.max_length
        else:
            raise ValueError(f"{item!r} is not supported; only ge, gt, le, lt and a fixed length hold everywhere")
    if shortest is not None and shortest == longest:
        found["length"] = shortest
    return found
