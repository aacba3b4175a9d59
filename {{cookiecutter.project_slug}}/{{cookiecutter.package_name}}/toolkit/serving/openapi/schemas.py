"""JSON Schemas of what is sent and answered, as contracts have it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...contract.schema import Contract, FieldSpec
from ..errors import MAX_VIOLATIONS_LISTED

Schema = dict[str, Any]

WORDS = {"at_least": "minimum", "above": "exclusiveMinimum", "at_most": "maximum", "below": "exclusiveMaximum"}
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "integer", "minimum": 1, "description": "the number of the version"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{40}$", "description": "the id of a prediction"}


def record(properties: dict[str, Schema], *optional: str, closed: bool = False) -> Schema:
    """Return an object with these fields, all of them required but the optional ones; a closed one has no others."""
    required = [name for name in properties if name not in optional]
    schema: Schema = {"type": "object", "properties": properties, "required": required}
    return schema | ({"additionalProperties": False} if closed else {})


def several(items: Schema, at_most: int | None = None) -> Schema:
    """Return a list."""
    return {"type": "array", "items": items} | ({} if at_most is None else {"maxItems": at_most})


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(words: Iterable[str]) -> Schema:
    """Return one of some words."""
    return {"type": "string", "enum": [*words]}


def either(schemas: list[Schema]) -> Schema:
    """Return what any of some schemas allows."""
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def given(column: FieldSpec) -> Schema:
    """Return what callers may send for a field."""
    schema = _value(column, {WORDS[name]: _plain(column, bound) for name, bound in column.bounds.items()})
    if column.nullable:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    if not column.required:
        schema["default"] = column.default
    return schema


def said(column: FieldSpec, contract: Contract) -> Schema:
    """Return what a prediction may have in a field."""
    # The bounds of a number that is learned are those of the data; what a model makes of them may lie beyond.
    learned = column == contract.label and column.kind == "float"
    declared = {name: getattr(column, name) for name in WORDS if not learned}
    bounds = {WORDS[name]: _plain(column, bound) for name, bound in declared.items() if bound is not None}
    schema = _value(column, bounds)
    # NaN, of a model that has no better answer, is no JSON.
    for number in (schema, schema.get("items", {})):
        if number.get("type") == "number":
            number["type"] = ["number", "null"]
    return schema


def _value(column: FieldSpec, bounds: Schema) -> Schema:
    if column.kind == "category":
        schema = one_of(column.categories)
    elif column.kind == "bool":
        schema = {"type": "boolean"}
    else:
        schema = {"type": "integer" if column.kind == "int" else "number"} | bounds
    if column.length is not None:
        schema = {"type": "array", "items": schema, "minItems": column.length, "maxItems": column.length}
    return schema | ({"description": column.description} if column.description else {})


def _plain(column: FieldSpec, bound: float) -> float:
    return int(bound) if column.kind == "int" and bound == int(bound) else bound


def of_version(contract: Contract, suffix: str) -> dict[str, Schema]:
    """Return what is sent to a version and what it answers, under names that end in a suffix."""
    optional = [column.name for column in contract.row if not column.required]
    number: Schema = {"type": ["number", "null"]}
    schemas = {
        "Row": record({column.name: given(column) for column in contract.row}, *optional, closed=True),
        "Prediction": record(predicted(contract) | {"id": ID, "version": NUMBER}),
        "Explanation": record(
            {
                "base": number | {"description": "the mean output over a sample of the training rows"},
                "prediction": number | {"description": "the output for this row: base and contributions add up to it"},
                "contributions": record({column.name: number for column in contract.row}),
                "output": TEXT | {"description": "which number of a prediction is explained"},
                "version": NUMBER,
            }
        ),
        "Label": record({"id": ID, contract.label.name: given(contract.label)}, closed=True),
    }
    return {name + suffix: schema for name, schema in schemas.items()}


def predicted(contract: Contract) -> dict[str, Schema]:
    """Return the fields of a prediction."""
    return {column.name: said(column, contract) for column in contract.prediction}


def _by_name(values: Schema, description: str) -> Schema:
    return {"type": "object", "additionalProperties": values, "description": description}


PROBLEMS = several(ref("Problem"), MAX_VIOLATIONS_LISTED)
#: What does not depend on a contract.
COMMON: dict[str, Schema] = {
    "Problem": record(
        {
            "row": {"type": ["integer", "null"], "minimum": 0, "description": "position in the request, from 0"},
            "field": TEXT | {"description": "empty if the whole row or request is meant"},
            "value": {"description": "what was sent; of a long value the beginning, as text"},
            "reason": TEXT,
        }
    ),
    "Error": record({"error": TEXT}),
    "Invalid": record({"error": TEXT, "problems": PROBLEMS}),
    "Taken": record({"taken": COUNT, "problems": PROBLEMS}),
    "Release": record(
        {
            "model": TEXT,
            "description": TEXT,
            "champion": NUMBER,
            "released": MOMENT,
            "traffic": _by_name(
                {"type": "integer", "minimum": 0, "maximum": 100}, "percent of the callers, by version"
            ),
            "shadows": several(NUMBER),
            "problem": TEXT | {"description": "why the newest release is not served, empty if it is"},
            "versions": several(
                record(
                    {
                        "version": NUMBER,
                        "aliases": several(TEXT),
                        "trained": MOMENT,
                        "commit": TEXT,
                        "runtime": TEXT,
                        "runtime_note": TEXT,
                        "metrics": _by_name({"type": "number"}, "on the held-out rows, by name"),
                        "data": {"type": "object"},
                    }
                )
            ),
            "inputs": _by_name(TEXT, "what a field of a row allows, by name"),
            "outputs": _by_name(TEXT, "what a field of a prediction allows, by name"),
            "example": several(ref("Row")),
        }
    ),
}
