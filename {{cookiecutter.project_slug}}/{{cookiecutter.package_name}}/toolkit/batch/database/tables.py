"""Output tables: predictions and rejected rows of a job, written in one transaction.

Each row has the job's name in the column `batch_job`. A run replaces the rows that an earlier run of the same job has
written, in the same transaction, so that a job that is run again doubles nothing; rows of other jobs stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...common.errors import UserError
from .catalog import check_names, existing_columns, place, rows_of
from .column_types import as_written, sql_type, written_type
from .connections import connect, explain_errors, literal, quote

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection, Cursor

#: The column with the name of the job that has written a row.
JOB = "batch_job"
REJECTS = "_rejects"
NOTHING = "Nothing was written."
UNKNOWN = "It is unknown whether the rows were written. Run again: rows of the same job are replaced, not doubled."


class TableWriter:
    """Writes the rows of a job; `replaced` counts the rows of an earlier run, which `commit` replaces.

    What is not committed is rolled back. Only one thread at a time may call the methods.
    """

    def __init__(self, connection: Connection, cursor: Cursor, address: str, tables: tuple[_Table, _Table]) -> None:
        self._connection, self._cursor, self._address = connection, cursor, address
        self._output, self._rejects = tables
        with explain_errors(address, effect=NOTHING):
            self._output.lock(cursor)
            self._output.open(cursor)
            if self._rejects.exists(cursor):
                self._rejects.open(cursor)
        #: Rows of an earlier run of the job.
        self.replaced = self._output.replaced
        self.rejects = str(self._rejects)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write rows with their predictions."""
        self._append(self._output, batch)

    def reject(self, batch: pa.RecordBatch) -> None:
        """Write rejected rows into the table of them, which is made with the first one."""
        self._append(self._rejects, batch)

    def commit(self) -> None:
        """Have all rows appear, instead of those of an earlier run."""
        with explain_errors(self._address, subject=str(self._output), effect=NOTHING):
            for table in (self._output, self._rejects):
                table.finish(self._cursor)
        with explain_errors(self._address, effect=UNKNOWN):
            self._connection.commit()

    def _append(self, table: _Table, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            with explain_errors(self._address, subject=str(table), effect=NOTHING):
                table.open(self._cursor)
                table.append(self._cursor, batch)


class _Table:
    """A table that a job writes: made if it is missing, else checked; `schema` is that of the batches."""

    def __init__(self, schema_name: str, name: str, job: str, schema: pa.Schema) -> None:
        self.schema_name, self.name, self.job, self.schema = schema_name, name, job, schema
        self.fields = [*schema, pa.field(JOB, pa.string())]
        self.replaced = 0
        #: The temporary table that is written first where types differ; it is "" until the table is open.
        self._written = ""
        check_names([name, *schema.names], JOB)

    def __str__(self) -> str:
        return f"{self.schema_name}.{self.name}"

    @property
    def sql(self) -> str:
        """The name in SQL."""
        return f"{quote(self.schema_name)}.{quote(self.name)}"

    def lock(self, cursor: Cursor) -> None:
        """Keep other runs of the job away until the transaction ends."""
        key = literal(f"{self} {self.job}")
        if not rows_of(cursor, f"SELECT pg_try_advisory_xact_lock(hashtextextended({key}, 0))")[0][0]:
            raise UserError(f"Another run writes the rows of job {self.job!r} to {self} now. Wait until it has ended.")

    def exists(self, cursor: Cursor) -> bool:
        """Whether the table is there."""
        return bool(rows_of(cursor, f"SELECT to_regclass({literal(self.sql)}) IS NOT NULL")[0][0])

    def open(self, cursor: Cursor) -> None:
        """Make or check the table, and delete the job's rows; later calls do nothing."""
        if self._written:
            return
        if self.exists(cursor):
            types = existing_columns(cursor, self.sql, str(self), self.fields, JOB)
            cursor.execute(f"DELETE FROM {self.sql} WHERE {quote(JOB)} = {literal(self.job)}")
            self.replaced = max(cursor.rowcount, 0)
        else:
            types = {field.name: sql_type(field) for field in self.fields}
            columns = ", ".join(f"{quote(name)} {kind}" for name, kind in types.items())
            cursor.execute(f"CREATE TABLE {self.sql} ({columns})")
            cursor.execute(f"CREATE INDEX ON {self.sql} ({quote(JOB)})")
        self._written = self.name
        if any(types[field.name] != written_type(field.type) for field in self.fields):
            # COPY takes the bytes of exactly these types; from a table of them, the server converts.
            self._written = f"{self.name[:50]}_written"
            columns = ", ".join(f"{quote(field.name)} {written_type(field.type)}" for field in self.fields)
            cursor.execute(f"CREATE TEMPORARY TABLE {quote(self._written)} ({columns}) ON COMMIT DROP")
        self._types = types

    def append(self, cursor: Cursor, batch: pa.RecordBatch) -> None:
        """Write rows."""
        columns = [as_written(column) for column in batch.columns]
        columns.append(pa.repeat(pa.scalar(self.job), batch.num_rows))
        rows = pa.RecordBatch.from_arrays(columns, names=[field.name for field in self.fields])
        place: dict[str, Any] = (
            {"db_schema_name": self.schema_name} if self._written == self.name else {"temporary": True}
        )
        cursor.adbc_ingest(self._written, rows, mode="append", **place)

    def finish(self, cursor: Cursor) -> None:
        """Convert what was written into a temporary table."""
        if self._written in ("", self.name):
            return
        names = ", ".join(quote(field.name) for field in self.fields)
        values = ", ".join(self._converted(field) for field in self.fields)
        cursor.execute(f"INSERT INTO {self.sql} ({names}) SELECT {values} FROM {quote(self._written)}")

    def _converted(self, field: pa.Field) -> str:
        """Return a column's values in SQL; only texts are converted to any type, others as an assignment does it."""
        name, kind = quote(field.name), self._types[field.name].partition("(")[0]
        texts = written_type(field.type) == "text" and not kind.startswith("char")
        return f"{name}::{self._types[field.name] if kind == 'bit' else kind}" if texts else name


@contextmanager
def write_table(address: str, table: str, job: str, schema: pa.Schema, rejects: pa.Schema) -> Iterator[TableWriter]:
    """Open a table, such as "scores" or "sales.scores", and that of its rejected rows, for the rows of a job.

    Both are made if missing, and get the columns of the two schemas and `batch_job`. `UserError` if rows cannot be
    written there, before any is.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(connect(address))
        cursor = stack.enter_context(connection.cursor())
        with explain_errors(address, subject=f"TABLE={table}", effect=NOTHING):
            schema_name, name = place(cursor, table, address)
        tables = _Table(schema_name, name, job, schema), _Table(schema_name, name + REJECTS, job, rejects)
        yield TableWriter(connection, cursor, address, tables)
