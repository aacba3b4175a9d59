"""From the two pydantic models of `model/schema.py` to their contract."""

from __future__ import annotations

import difflib
import enum
import math
import types
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..common.errors import UserError
from . import times
from .schema import FLOAT32_MAX, FLOAT32_MAX_EXACT_INT, Contract, FieldSpec

#: Marks a text or whole number as a key: `zip_code: Annotated[str, "key"]`.
KEY = "key"
MAX_KEY_LENGTH = 256


def derive(row: type[BaseModel], prediction: type[BaseModel]) -> Contract:
    """Return the contract of two pydantic models; `UserError` lists every field that is not supported."""
    problems: list[str] = []
    contract = Contract(row=tuple(_fields(row, problems)), prediction=tuple(_fields(prediction, problems)))
    for model in (row, prediction):
        decorators = model.__pydantic_decorators__
        if decorators.validators or decorators.field_validators or decorators.model_validators:
            problems.append(
                f"{model.__name__} has validators: they cannot be stored with a version; put the check in data.load()"
            )
    if not row.model_fields or not prediction.model_fields:
        problems.append("Row and Prediction need at least one field each")
    elif contract.row and contract.prediction:
        problems += _label_problems(contract, next(iter(prediction.model_fields)))
    if problems:
        raise UserError("model/schema.py:\n" + "\n".join(f"  - {problem}" for problem in problems))
    return contract


def _label_problems(contract: Contract, first: str) -> Iterator[str]:
    label = contract.label  # another field, where the first one is not supported
    if label.name == first and (label.kind not in ("float", "int", "bool", "category") or label.nullable):
        yield f"Prediction.{label.name}, the label, must be a float, int, bool or Literal, and not optional"
    for field in contract.prediction:
        if field.is_time or field.shape:
            yield f"Prediction.{field.name}: a prediction has no dates, times or matrices; use numbers or a vector"
        if field.kind == "map" and (field.name != "probabilities" or field.nullable or not field.required):
            yield f"Prediction.{field.name}: a dict is for probabilities; give it that name, and have it not optional"
    for field in contract.row:
        if field.kind == "map":
            yield f"Row.{field.name}: a dict is for probabilities in Prediction; use one field for each key"
    if first in contract.by_name:
        yield f"Prediction.{first}, the label, is a field of Row too: that leaks the label to the model"
    names = contract.model_columns
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"Row.{name}: an element of a vector or a part of a date has that name too; rename one of the two"
    for name in sorted({"id", "version"} & {field.name for field in contract.prediction}):
        yield f"Prediction.{name}: the service adds a field of that name; rename it"


def _fields(model: type[BaseModel], problems: list[str]) -> Iterator[FieldSpec]:
    for name, info in model.model_fields.items():
        try:
            yield _field(name, info)
        except ValueError as error:
            problems.append(f"{model.__name__}.{name}: {error}")


def _field(name: str, info: FieldInfo) -> FieldSpec:
    if info.alias or info.validation_alias:
        raise ValueError("aliases are not supported; name the field as the data does")
    annotation, nullable, metadata = _unwrap(info.annotation)
    properties: dict[str, Any] = {"name": name, "nullable": nullable, "description": info.description or ""}
    properties |= _type_properties(annotation, metadata + info.metadata)
    if not info.is_required():
        properties |= {"required": False, "default": _default(info, nullable)}
        if properties["kind"] == "vector" and properties["default"] is not None:
            raise ValueError("the default of a list can only be None")
    field = FieldSpec(**properties)
    _check_bounds(field)
    return field


def _type_properties(annotation: Any, metadata: list[Any]) -> dict[str, Any]:
    """Return kind, constraints, categories and length, which follow from the type."""
    if KEY in metadata:
        if annotation not in (str, int):
            raise ValueError(f"a key is Annotated[str, {KEY!r}] or Annotated[int, {KEY!r}]")
        found = _constraints([item for item in metadata if item != KEY], lengths=annotation is str)
        return _text({"max_length": MAX_KEY_LENGTH} | found) | {"kind": "key", "whole": annotation is int}
    if get_origin(annotation) is list:
        return _vector(annotation, metadata)
    if get_origin(annotation) is dict:
        return {"kind": "map"} | _map_constraints(*get_args(annotation)) | _constraints(metadata)
    if categories := _categories(annotation):
        return {"kind": "category", "categories": categories} | _constraints(metadata)
    if annotation is str:
        return _text(_constraints(metadata, lengths=True)) | {"kind": "text"}
    if annotation in times.TYPES.values():
        kind = next(kind for kind, type_ in times.TYPES.items() if type_ is annotation)
        return {"kind": kind} | _constraints(metadata)
    if annotation is Decimal:
        return {"kind": "float", "decimal": True} | _constraints(metadata)
    if annotation not in (bool, int, float):
        raise ValueError(
            f"{annotation!r} is none of float, int, bool, Decimal, Literal of strings, str Enum, str, date, datetime, "
            "time, timedelta, list[float] and list[list[float]]"
        )
    properties = {"kind": annotation.__name__} | _constraints(metadata)
    if annotation is bool and properties.keys() & {"at_least", "above", "at_most", "below"}:
        raise ValueError("a bool takes no bounds")
    return properties


def _vector(annotation: Any, metadata: list[Any]) -> dict[str, Any]:
    """Return the properties of a vector, or of a matrix, whose constraints stand at both of its lists."""
    sizes: list[int] = []
    while get_origin(annotation) is list:
        found = _constraints(metadata, lengths=True)
        if "max_length" not in found or found["max_length"] != found.get("min_length"):
            raise ValueError(
                "a list needs a fixed length: Field(min_length=64, max_length=64); the inner list of a matrix too: "
                "list[Annotated[list[float], Field(min_length=3, max_length=3)]]"
            )
        sizes.append(found["max_length"])
        (item,) = get_args(annotation)
        annotation, nullable, metadata = _unwrap(item)
        if nullable:
            raise ValueError("the elements of a list must not be missing")
    if annotation is not float or len(sizes) > 2:
        raise ValueError("a list must be a list[float] or list[list[float]]")
    properties = {"kind": "vector", "length": math.prod(sizes)} | _constraints(metadata)
    return properties | ({"shape": tuple(sizes)} if len(sizes) == 2 else {})


def _text(properties: dict[str, Any]) -> dict[str, Any]:
    if properties.keys() - {"min_length", "max_length"}:
        raise ValueError("a text or key takes no bounds")
    if "max_length" not in properties:
        raise ValueError(
            "a text needs the most characters that it may have: Field(max_length=2000); a name with many values, such "
            f"as a zip code, is Annotated[str, {KEY!r}]"
        )
    return properties


def _map_constraints(key: Any, value: Any) -> dict[str, Any]:
    item, nullable, metadata = _unwrap(value)
    if key is not str or item is not float or nullable:
        raise ValueError("a dict must be a dict[str, float]")
    return _constraints(metadata)


def _check_bounds(field: FieldSpec) -> None:
    for bound in field.bounds.values():
        if field.kind == "int" and abs(bound) > FLOAT32_MAX_EXACT_INT:
            raise ValueError(
                f"the bound {bound:.15g} is too large: numbers are float32, in which whole numbers are exact up to "
                f"{FLOAT32_MAX_EXACT_INT}; declare larger ones as float, which rounds them to 7 digits, and numbers "
                f"that are names as Annotated[int, {KEY!r}]"
            )
        if not field.is_time and abs(bound) > FLOAT32_MAX:
            raise ValueError(f"numbers are float32: no bound is beyond {FLOAT32_MAX:.3g}")


def _default(info: FieldInfo, nullable: bool) -> bool | float | str | None:
    default = info.default
    if info.default_factory is not None or default is PydanticUndefined:
        raise ValueError("a default must be a plain value")
    if default is None and not nullable:
        raise ValueError("the default is None, which the type does not allow; add '| None'")
    if not _allows(info, default):
        raise ValueError(f"the default {default!r} is not a value that the field allows")
    if isinstance(default, tuple(times.TYPES.values())):
        return times.iso(times.to_utc(default))
    if isinstance(default, Decimal):
        return float(default)
    return default.value if isinstance(default, enum.Enum) else default


def _allows(info: FieldInfo, value: Any) -> bool:
    annotation: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return True


def _unwrap(annotation: Any) -> tuple[Any, bool, list[Any]]:
    """Return the type inside `Annotated` and `| None`, whether None is allowed, and the metadata of `Annotated`."""
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


def _categories(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        values = tuple(member.value for member in annotation)
    else:
        return ()
    if not all(isinstance(value, str) and value for value in values):
        raise ValueError(f"the allowed values {values!r} must be non-empty strings")
    return values


def _constraints(metadata: list[Any], *, lengths: bool = False) -> dict[str, Any]:
    bounds: dict[type, tuple[str, str]] = {
        annotated_types.Ge: ("at_least", "ge"),
        annotated_types.Gt: ("above", "gt"),
        annotated_types.Le: ("at_most", "le"),
        annotated_types.Lt: ("below", "lt"),
    }
    if lengths:
        bounds |= {annotated_types.MinLen: ("min_length",) * 2, annotated_types.MaxLen: ("max_length",) * 2}
    found: dict[str, Any] = {}
    for item in metadata:
        if type(item) not in bounds:
            hint = f" (did you mean {KEY!r}?)" if difflib.get_close_matches(str(item).lower(), [KEY]) else ""
            raise ValueError(
                f"{item!r} is not supported here{hint}; supported are ge, gt, le, lt, min_length and max_length of a "
                "text, and equal min_length and max_length of a list"
            )
        name, attribute = bounds[type(item)]
        found[name] = _number(getattr(item, attribute))
    return found


def _number(bound: Any) -> float:
    """Return a bound as a number, that of a date or time in seconds."""
    return times.seconds(times.to_utc(bound)) if isinstance(bound, tuple(times.TYPES.values())) else bound
