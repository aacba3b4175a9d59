"""A query on a database as a stream of Arrow record batches, at constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ...common.errors import UserError
from ..parts import Rows
from .column_types import OWN_TYPE
from .connections import connect, explain_errors, name_of, quote

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

#: Bytes of a record batch, about.
BATCH_BYTES = 4_000_000
#: Types that Arrow has too, and those of them that may be of an array's elements. Values of any other type are read as
#: PostgreSQL writes them in text.
ELEMENTS = {"bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar"}
SAME = ELEMENTS | {f"_{name}" for name in ELEMENTS} | {"bpchar", "name", "date", "timestamp", "timestamptz"}
#: Days before which no date of PostgreSQL lies; the driver makes such dates of infinite ones.
FIRST_DAY = -2_500_000


class Query(NamedTuple):
    """A query as the input of a job."""

    database: str
    statement: str
    #: Position of the first row.
    first_row: int = 0
    #: Number of rows, which only reading them tells.
    rows: int | None = None

    @property
    def address(self) -> str:
        """The database, without credentials."""
        return name_of(self.database)

    def open(self) -> AbstractContextManager[Rows]:
        """Open the rows; `UserError` if they cannot be read."""
        return read_query(self.database, self.statement)

    def check_unchanged(self) -> None:
        """Nothing changes: a transaction reads what there was when it began."""


def read_statement(query: str) -> str:
    """Return the statement that QUERY is, or that the file has which it names after an @."""
    if query.startswith("@"):
        try:
            query = Path(query[1:]).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"QUERY={query}: the file cannot be read ({error}).") from error
    query = query.strip().rstrip(";").rstrip()
    if not query:
        raise UserError('QUERY is empty. For example: QUERY="select * from passengers", or QUERY=@passengers.sql')
    return query


@contextmanager
def read_query(address: str, query: str) -> Iterator[Rows]:
    """Prepare a SELECT in a read-only transaction; it is run, and its rows are read, as they are iterated.

    `UserError` if it cannot be run, or if the connection is lost, also while iterating: the rows never end early.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(connect(address))
        cursor = stack.enter_context(connection.cursor())
        with explain_errors(address, query=query):
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            returned = cursor.adbc_execute_schema(query)
            schema = _schema(returned)
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
        yield Rows(schema, _batches(cursor, _as_text(query, schema), schema, address))


def _schema(returned: pa.Schema) -> pa.Schema:
    """Return the schema of the record batches: columns of types that Arrow does not have are text."""
    if not returned.names:
        raise UserError("QUERY returns no columns; it must be one SELECT.")
    if twice := sorted({name for name in returned.names if returned.names.count(name) > 1}):
        raise UserError(f"QUERY returns two columns named {', '.join(twice)}: rename one by AS.")
    fields = []
    for field in returned:
        own = (field.metadata or {}).get(b"POSTGRESQL:type", b"text").decode()
        if own in SAME:
            fields.append(pa.field(field.name, field.type))
        elif own == "_numeric":
            fields.append(pa.field(field.name, pa.list_(pa.float64()), metadata={OWN_TYPE: "float8[]"}))
        else:
            fields.append(pa.field(field.name, pa.string(), metadata={OWN_TYPE: own}))
    return pa.schema(fields)


def _as_text(query: str, schema: pa.Schema) -> str:
    """Return a query whose columns have the types of a schema."""
    if not any(field.metadata for field in schema):
        return f"{query}\n"  # a comment may end it
    columns = [
        quote(field.name)
        if not field.metadata
        else f"{quote(field.name)}::{'text' if field.type == pa.string() else 'float8[]'} AS {quote(field.name)}"
        for field in schema
    ]
    return f"SELECT {', '.join(columns)} FROM (\n{query}\n) AS query"


def _batches(cursor: Cursor, statement: str, schema: pa.Schema, address: str) -> Iterator[pa.RecordBatch]:
    """Run a statement once its rows are wanted, and yield them."""
    with explain_errors(address, subject="QUERY"):
        cursor.execute(statement)
        reader = cursor.fetch_record_batch()
    while True:
        with explain_errors(address):
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
        for field, column in zip(schema, batch.columns, strict=True):
            if pa.types.is_temporal(field.type):
                _check_finite(field, column)
        yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _check_finite(field: pa.Field, column: pa.Array) -> None:
    """Raise `UserError` for an infinite date, which Arrow has none of: the driver returns another date for it."""
    first = pc.min(column.view(pa.int32() if pa.types.is_date(field.type) else pa.int64())).as_py()
    days = first if first is None or pa.types.is_date(field.type) else first // 86_400_000_000
    if days is not None and days < FIRST_DAY:
        name = quote(field.name)
        raise UserError(
            f"QUERY: the column {field.name} has an infinite date. Leave such rows out (WHERE isfinite({name})), or "
            f"select {name}::text."
        )
