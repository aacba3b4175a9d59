"""From the two pydantic models of `model/schema.py` to their contract."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..common.errors import UserError
from .schema import FLOAT32_MAX, FLOAT32_MAX_EXACT_INT, Contract, FieldSpec


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
        yield f"Prediction.{label.name}, the label, is a field of Row too: that leaks the label to the model"
    names = contract.model_columns
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"Row.{name}: an element of a vector has that name too; rename one of the two"
    for name in ("id", "version"):
        if any(field.name == name for field in contract.prediction):
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
    if properties["kind"] == "vector" and (nullable or not info.is_required()):
        raise ValueError("a vector must not be optional")
    if not info.is_required():
        properties |= {"required": False, "default": _default(info, nullable)}
    field = FieldSpec(**properties)
    _check_bounds(field)
    return field


def _type_properties(annotation: Any, metadata: list[Any]) -> dict[str, Any]:
    """Return kind, constraints, categories and length, which follow from the type."""
    if get_origin(annotation) is list:
        item, item_nullable, item_metadata = _unwrap(get_args(annotation)[0])
        if item is not float or item_nullable:
            raise ValueError("a list must be a list[float]")
        properties = {"kind": "vector"} | _constraints(metadata, lengths=True) | _constraints(item_metadata)
        if "length" not in properties:
            raise ValueError("a list needs a fixed length: Field(min_length=64, max_length=64)")
        return properties
    if categories := _categories(annotation):
        return {"kind": "category", "categories": categories} | _constraints(metadata)
    if annotation not in (bool, int, float):
        raise ValueError(f"{annotation!r} is not a float, int, bool, Literal of strings, str Enum or list[float]")
    properties = {"kind": annotation.__name__} | _constraints(metadata)
    if annotation is bool and properties.keys() & {"at_least", "above", "at_most", "below"}:
        raise ValueError("a bool takes no bounds")
    return properties


def _check_bounds(field: FieldSpec) -> None:
    for bound in field.bounds.values():
        if field.kind == "int" and abs(bound) > FLOAT32_MAX_EXACT_INT:
            raise ValueError(
                f"the bound {bound:.15g} is too large: numbers are float32, in which whole numbers are exact up to "
                f"{FLOAT32_MAX_EXACT_INT}; declare larger ones as float, which rounds them to 7 digits, and numbers "
                "that are names as Literal"
            )
        if abs(bound) > FLOAT32_MAX:
            raise ValueError(f"numbers are float32: no bound is beyond {FLOAT32_MAX:.3g}")


def _default(info: FieldInfo, nullable: bool) -> bool | float | str | None:
    default = info.default
    if info.default_factory is not None or default is PydanticUndefined:
        raise ValueError("a default must be a plain value")
    if default is None and not nullable:
        raise ValueError("the default is None, which the type does not allow; add '| None'")
    if not _allows(info, default):
        raise ValueError(f"the default {default!r} is not a value that the field allows")
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
            raise ValueError(
                f"{item!r} is not supported; supported are ge, gt, le, lt and equal min_length and max_length"
            )
    if shortest is not None and shortest == longest:
        found["length"] = shortest
    return found
