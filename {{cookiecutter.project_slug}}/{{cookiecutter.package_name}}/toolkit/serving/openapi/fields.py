"""JSON Schemas of fields, made from the annotations by which pydantic checks them."""

from __future__ import annotations

import json
from functools import lru_cache

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from ...contract.annotations import annotation
from ...contract.schema import Contract, FieldSpec
from .json_schema import Schema, nullable, object_of, string_enum

NO_BOUNDS = dict.fromkeys(("at_least", "above", "at_most", "below"))


class _Generator(GenerateJsonSchema):
    """pydantic's JSON Schemas, in the form that Swagger UI shows best."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return nullable(self.generate_inner(schema["schema"]))

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        # One category is an enum too, not a constant.
        return string_enum(schema["expected"])


def input_schema(field: FieldSpec) -> Schema:
    """Return the JSON Schema of the values that callers may send for a field."""
    schema = _schema(field) | _description(field)
    return schema if field.required else schema | {"default": field.default}


def output_schema(field: FieldSpec, contract: Contract) -> Schema:
    """Return the JSON Schema of the values that predictions have in a field: declared bounds, and null for NaN."""
    if field.kind == "map":
        each = _output_number(_schema(field.model_copy(update={"kind": "float", "length": None})), field)
        return object_of(dict.fromkeys(field.names, each)) | _description(field)
    if field in contract.labels and field.kind == "float":
        # A regression that learned from bounded labels may predict beyond their bounds.
        field = field.model_copy(update=NO_BOUNDS)
    schema, description = _schema(field), _description(field) | _classes(field, contract)
    if "items" in schema:
        return schema | {"items": _output_number(schema["items"], field)} | description
    return _output_number(schema, field) | description


def output_schemas(contract: Contract) -> dict[str, Schema]:
    """Return the JSON Schemas of a prediction's fields, by name."""
    return {field.name: output_schema(field, contract) for field in contract.prediction}


def _output_number(schema: Schema, field: FieldSpec) -> Schema:
    # The limits of float32 are checked in requests only.
    implied = {"minimum"} if field.at_least is None else set()
    implied |= {"maximum"} if field.at_most is None else set()
    declared = {keyword: value for keyword, value in schema.items() if keyword not in implied}
    return nullable(declared) if declared["type"] == "number" else declared


# To make a schema takes 0.2 ms, and the document has the same fields several times.
@lru_cache(maxsize=4096)
def _schema(field: FieldSpec) -> Schema:
    """Return the JSON Schema of the annotation that checks a field; not to be changed in place."""
    return TypeAdapter(annotation(field)).json_schema(schema_generator=_Generator)


def _classes(field: FieldSpec, contract: Contract) -> Schema:
    """Return the description of probabilities that names their classes, and of a label with a threshold."""
    notes = _threshold(field, contract)
    if field.name == "probabilities" and contract.probability_names and field.length == len(contract.probability_names):
        names = ", ".join(json.dumps(name, ensure_ascii=False) for name in contract.probability_names)
        notes = f"of {names}, in this order"
    if not notes:
        return {}
    text = notes
    return {"description": f"{field.description}; {text}" if field.description else text}


def _threshold(field: FieldSpec, contract: Contract) -> str:
    """Return what is to say on the threshold of a label, nothing for other fields."""
    if field != contract.label or contract.threshold is None:
        return ""
    second = json.dumps(contract.classes[1], ensure_ascii=False)
    return f"{second} where its probability is {contract.threshold:.6g} or more"


def _description(field: FieldSpec) -> Schema:
    return {"description": field.description} if field.description else {}
