"""The parts that JSON Schemas are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER_FROM_0: Schema = {"type": "integer", "minimum": 0}
TIMESTAMP: Schema = {"type": "string", "format": "date-time"}
ALWAYS_TRUE: Schema = {"const": True}


def ref(name: str) -> Schema:
    """Return a reference to a schema among the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(properties: dict[str, Schema], *optional: str, closed: bool = False) -> Schema:
    """Return an object with these properties, all required but the optional ones; a closed one has no others."""
    required = [name for name in properties if name not in optional]
    schema: Schema = {"type": "object", "properties": properties, "required": required}
    return schema | ({"additionalProperties": False} if closed else {})


def map_of(values: Schema, description: str) -> Schema:
    """Return an object whose property names are data."""
    return {"type": "object", "additionalProperties": values, "description": description}


def array_of(items: Schema, max_items: int | None = None) -> Schema:
    """Return an array of any length up to a limit."""
    return {"type": "array", "items": items} | ({} if max_items is None else {"maxItems": max_items})


def tuple_of(items: list[Schema]) -> Schema:
    """Return an array with one schema for each position."""
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def string_enum(values: Iterable[str]) -> Schema:
    """Return a string that is one of some values."""
    return {"type": "string", "enum": [*values]}


def any_of(schemas: list[Schema]) -> Schema:
    """Return what any of some schemas allows."""
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def nullable(schema: Schema) -> Schema:
    """Return a schema of one type that allows null too.

    As a second type, not as a part of `anyOf`: Swagger UI then shows type, bounds and enum without unfolding.
    """
    if "anyOf" in schema:
        return schema | {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [schema["type"], "null"]} | enum
