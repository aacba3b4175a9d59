"""What a database has: a table that is named, its columns, and the rights of the user on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...common.errors import UserError
from .column_types import sql_type
from .connections import literal, name_of, quote

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

#: Bytes that a name may have; PostgreSQL cuts longer ones off.
NAME_BYTES = 63
WHOLE = ("smallint", "integer", "bigint")


def existing_columns(cursor: Cursor, sql: str, name: str, fields: list[pa.Field], job: str) -> dict[str, str]:
    """Return the types of a table's columns; `UserError` if a run cannot write the rows of a job with some fields.

    `sql` is the table in SQL, `name` in messages; `job` is the column with the job's name.
    """
    relation = f"{literal(sql)}::regclass"
    kind, user = rows_of(cursor, f"SELECT relkind::text, current_user::text FROM pg_class WHERE oid = {relation}")[0]
    if kind not in "rp":
        raise UserError(f"{name} is no table but a view or the like; name another TABLE.")
    lacking = [
        right
        for right in ("SELECT", "INSERT", "DELETE")
        if not rows_of(cursor, f"SELECT has_table_privilege({relation}, '{right}')")[0][0]
    ]
    if lacking:
        rights = ", ".join(lacking)
        raise UserError(
            f"{user} lacks the right {rights} on {name}. Its owner gives it: GRANT {rights} ON {sql} TO {user}"
        )
    found = rows_of(
        cursor,
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
        f"WHERE attrelid = {relation} AND attnum > 0 AND NOT attisdropped",
    )
    types: dict[str, str] = dict(found)
    _check_types(types, sql, name, fields, job)
    return types


def _check_types(types: dict[str, str], sql: str, name: str, fields: list[pa.Field], job: str) -> None:
    """Raise `UserError` if a table lacks columns for some fields, or would round what is written there."""
    if missing := [field for field in fields if field.name not in types]:
        columns = ", ".join(f"ADD COLUMN {quote(field.name)} {sql_type(field)}" for field in missing)
        why = (
            ""
            if job in types
            else f", by which a run finds the rows of the same job: {name} was made by something else"
        )
        raise UserError(
            f"{name} has no column {', '.join(field.name for field in missing)}{why}. Name another TABLE, or: "
            f"ALTER TABLE {sql} {columns}"
        )
    for field in fields:
        if pa.types.is_floating(field.type) and types[field.name] in WHOLE:
            raise UserError(
                f"{name}: the column {field.name} is {types[field.name]}, and its values are no whole numbers. "
                f"Name another TABLE, or: ALTER TABLE {sql} ALTER COLUMN {quote(field.name)} TYPE {sql_type(field)}"
            )


def place(cursor: Cursor, table: str, address: str) -> tuple[str, str]:
    """Return the schema and the name of a table, which are read as SQL reads them: Scores is scores, unless quoted."""
    if not table:
        raise UserError(f"TABLE is missing, the table of {name_of(address)} that is written. For example: TABLE=scores")
    parts = rows_of(cursor, f"SELECT parse_ident({literal(table)})")[0][0]
    if len(parts) > 2:
        raise UserError(f"TABLE={table} has more than a schema and a name. For example: TABLE=sales.scores")
    if len(parts) == 2:
        return parts[0], parts[1]
    relation = f"(SELECT relnamespace FROM pg_class WHERE oid = to_regclass({literal(quote(parts[0]))}))"
    there = f"(SELECT nspname::text FROM pg_namespace WHERE oid = {relation})"
    found = rows_of(cursor, f"SELECT coalesce({there}, current_schema()::text)")[0][0]
    if found is None:
        raise UserError(f"TABLE={table}: this user has no schema by default; name it, as in TABLE=sales.{table}")
    return found, parts[0]


def check_names(names: list[str], job: str) -> None:
    """Raise `UserError` for the name of a table or column that PostgreSQL would cut off, or that `job` has."""
    if job in names:
        raise UserError(
            f"The input has a column {job}, which is the name of a column of the output; rename it in QUERY."
        )
    for name in names:
        if len(name.encode()) > NAME_BYTES or "\0" in name or not name:
            raise UserError(
                f"{name!r} cannot be the name of a table or column: PostgreSQL takes 1 to {NAME_BYTES} bytes."
            )


def rows_of(cursor: Cursor, statement: str) -> list[Any]:
    """Return all rows of a statement."""
    cursor.execute(statement)
    return list(cursor.fetchall())
