"""Whether rows with some columns can be scored, before a row is read."""

from __future__ import annotations

import pyarrow as pa

from ..common.errors import UserError
from ..contract import arrow_rows, column_names
from ..contract.schema import Contract, FieldSpec


def check(schema: pa.Schema, contract: Contract, source: str, *, strict: bool) -> tuple[str, ...]:
    """Return what there is to say about columns; `UserError` if no row with them can be scored.

    With `strict`, unknown and missing columns are an error too.
    """
    violations = arrow_rows.check_features(schema.empty_table(), contract).violations
    lines = [f"{violation.field}: {violation.reason}" for violation in violations]
    named = {violation.field for violation in violations}
    for field in contract.row:
        if field.name in schema.names and field.name not in named and not fits(schema.field(field.name).type, field):
            lines.append(
                f"{field.name}: the column's type is {schema.field(field.name).type}; expected {field.expects}"
            )
    if lines:
        listed = "".join(f"\n  - {line}" for line in lines)
        raise UserError(f"{source} cannot be scored; its columns are {', '.join(schema.names)}:{listed}")
    if not any(column_names.is_given(field, set(schema.names)) for field in contract.row):
        expected = ", ".join(contract.by_name)
        raise UserError(f"{source} has none of the columns {expected}; its columns are {', '.join(schema.names)}")
    found = column_names.check(schema.names, contract).sentences
    if found and strict:
        raise UserError(f"{source}: {'; '.join(found)}. With STRICT=1 that is an error: correct them, or unset it")
    return tuple(found)


def fits(type: pa.DataType, field: FieldSpec) -> bool:
    """Whether a column of a type can have a valid value of a field."""
    if pa.types.is_dictionary(type):
        return fits(type.value_type, field)
    kinds = pa.types
    if kinds.is_null(type) or kinds.is_string(type) or kinds.is_large_string(type) or kinds.is_string_view(type):
        return True
    is_number = kinds.is_integer(type) or kinds.is_floating(type) or kinds.is_decimal(type)
    if field.kind in ("float", "int"):
        return is_number
    if field.kind == "bool":
        return is_number or kinds.is_boolean(type)
    if field.is_time:
        return kinds.is_temporal(type)
    if field.length is not None:
        return kinds.is_nested(type)
    return field.whole and is_number
