"""Queries on a real PostgreSQL: what arrives, in how much memory, and what is said when it fails."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from postgresql_server import PASSWORD, PostgreSQL
from titanic_survival.toolkit.batch.database.queries import read_query, read_statement
from titanic_survival.toolkit.common.errors import UserError

Sql = Callable[[str], list[Any]]
MILLION_ROWS = "select g, g * 1.5::float8 a, 'male' s, repeat('x', 30) n, 1.25 p from generate_series(1, 1000000) g"


def read(address: str, query: str) -> pa.Table:
    """Return all rows of a query."""
    with read_query(address, read_statement(query)) as result:
        return pa.Table.from_batches(list(result.batches), schema=result.schema)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("1::int2", pa.int16(), 1),
        ("9007199254740993::int8", pa.int64(), 9007199254740993),
        ("1.5::float4", pa.float32(), 1.5),
        ("true", pa.bool_(), True),
        ("'x'::varchar(3)", pa.string(), "x"),
        ("null", pa.string(), None),
        ("null::int4", pa.int32(), None),
        ("date '2020-01-31'", pa.date32(), "2020-01-31"),
        ("timestamptz '2020-01-31 10:00+02'", pa.timestamp("us", "UTC"), "2020-01-31 08:00:00.000000Z"),
        ("array[1.5, null]::float8[]", pa.list_(pa.float64()), [1.5, None]),
        ("array[1.5]::numeric[]", pa.list_(pa.float64()), [1.5]),
        # What Arrow has no type for is text, as PostgreSQL writes it.
        ("12345678901234567890.12::numeric", pa.string(), "12345678901234567890.12"),
        ("'NaN'::numeric(10, 2)", pa.string(), "NaN"),
        ("""'{"a": 1}'::jsonb""", pa.string(), '{"a": 1}'),
        ("'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::uuid", pa.string(), "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        ("'sad'::mood", pa.string(), "sad"),
        ("row(1, 'a')", pa.string(), "(1,a)"),
        ("'1.2.3.4'::inet", pa.string(), "1.2.3.4/32"),
        ("interval '1 day'", pa.string(), "1 day"),
    ],
)
def test_value_arrives(postgresql: PostgreSQL, sql: Sql, value: str, kind: pa.DataType, expected: object) -> None:
    sql("create type mood as enum ('sad', 'ok')")
    table = read(postgresql.url, f'select {value} as "a ""name""", 1 as other')
    assert table.schema.names == ['a "name"', "other"]
    column = table.column(0)
    assert column.type == kind
    assert (column.cast(pa.string()) if pa.types.is_temporal(kind) else column).to_pylist() == [expected]


@pytest.mark.parametrize("value", ["timestamp '-infinity'", "date 'infinity'", "timestamptz 'infinity'"])
def test_infinite_date_is_no_other_date(postgresql: PostgreSQL, value: str) -> None:
    with pytest.raises(UserError, match=r"column day has an infinite date.*isfinite\(\"day\"\)"):
        read(postgresql.url, f"select {value} as day")
    assert read(postgresql.url, f"select ({value})::text as day")["day"][0].as_py().endswith("infinity")


def test_query_of_a_file_may_end_with_a_comment(postgresql: PostgreSQL, tmp_path: Path) -> None:
    file = tmp_path / "query.sql"
    for text in (
        "select 1 as a -- one",
        "with x as (values (1)) select column1 as a from x;\n",
        "select 1.0::numeric(1) a --",
    ):
        file.write_text(text)
        assert [str(value) for value in read(postgresql.url, f"@{file}")["a"].to_pylist()] == ["1"]
    with pytest.raises(UserError, match=r"QUERY=@.*nothing.sql: the file cannot be read"):
        read_statement(f"@{tmp_path}/nothing.sql")
    with pytest.raises(UserError, match="QUERY is empty"):
        read_statement(" ; ")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select * from nowhere", r'QUERY, line 1, column 15: relation "nowhere" does not exist\.$'),
        ("select 1,\n  fro pg_class where", r"QUERY, line 2, column 21: syntax error at end of input\.$"),
        ("select nix from pg_class", r'QUERY, line 1, column 8: column "nix" does not exist'),
        ("select 1 a; select 2", "QUERY: cannot insert multiple commands"),
        ("select 1 a, 2 a", "QUERY returns two columns named a: rename one by AS"),
        ("select 1 / 0 as a", "QUERY: division by zero"),
        ("create table made as select 1 a", r"QUERY returns no columns; it must be one SELECT\."),
        ("insert into made values (1)", "QUERY returns no columns"),
        (
            "insert into made values (1) returning a",
            "cannot execute INSERT in a read-only transaction. QUERY must only",
        ),
        (
            "with x as (delete from made returning a) select * from x",
            "in a read-only transaction. QUERY must only read",
        ),
        ("select nextval('numbers')", "read-only transaction"),
        ("explain select 1", 'QUERY: syntax error at or near "explain"'),
        ("select 1 as a where $1", r"QUERY: there is no parameter \$1"),
    ],
)
def test_query_that_fails(postgresql: PostgreSQL, sql: Sql, query: str, message: str) -> None:
    sql("create table made (a int); insert into made values (7); create sequence numbers")
    with pytest.raises(UserError, match=message):
        read(postgresql.url, query)
    assert sql("select a from made") == [(7,)]


def test_right_that_is_missing_is_named(postgresql: PostgreSQL, sql: Sql) -> None:
    sql("create table secrets (a int); drop role if exists bob; create role bob login password 'hunter22'")
    with pytest.raises(UserError, match=r"permission denied for table secrets. Ask the owner of the table"):
        read(f"postgresql://bob:hunter22@{postgresql.host}/postgres", "select * from secrets")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "postgresql://ada:wr0ng-pass@{host}/postgres",
            'password authentication failed for user "ada". Check user and pass',
        ),
        ("postgresql://ada@{host}/postgres", "no password supplied. Check user and password.*PGPASSWORD"),
        ("postgresql://ada:{password}@{host}/nowhere", 'database "nowhere" does not exist. Check the name'),
        ("postgresql://ada:{password}@127.0.0.1:1/postgres", "Connection refused. Is the server running"),
        ("postgresql://ada:{password}@{host}/postgres?sslmode=require", "does not support SSL.*Check sslmode"),
        ("postgresql://ada:wr0ng/pass@{host}/postgres", "no valid address of a database.*%2F"),
        ("postgresql://ada:wr0ng@pass@{host}/postgres", "no valid address of a database.*%40"),
        ("postgresql://ada:wr0ng%pass@{host}/postgres", "no valid address of a database.*%25"),
    ],
)
def test_address_that_fails_repeats_no_password(postgresql: PostgreSQL, address: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        read(address.format(host=postgresql.host, password=PASSWORD), "select 1 as a")
    assert not any(word in str(raised.value) for word in (PASSWORD, "wr0ng", "pass@"))
    assert raised.value.__cause__ is None, "a traceback would show the driver's own message"


def test_credentials_of_libpq_are_used(postgresql: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pgpass"
    file.write_text(f"127.0.0.1:{postgresql.port}:*:ada:{PASSWORD}\n")
    file.chmod(0o600)
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSFILE", str(file))
        assert read(f"postgresql://ada@{postgresql.host}/postgres", "select 1 a").num_rows == 1
    monkeypatch.setenv("PGUSER", "ada")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert read(f"postgres://{postgresql.host}/postgres", "select 1 a").num_rows == 1


@pytest.mark.parametrize("end", ["select pg_terminate_backend(pid) from pg_stat_activity where query like 'COPY%'", ""])
def test_connection_lost_while_reading_ends_no_rows_early(postgresql: PostgreSQL, sql: Sql, end: str) -> None:
    rows = 0
    with (
        pytest.raises(
            UserError, match=r"(server closed the|terminating) connection.*The connection was lost; run again"
        ),
        read_query(postgresql.url, MILLION_ROWS) as result,
    ):
        for batch in result.batches:
            if not rows:
                sql(end) if end else postgresql.stop()
            rows += batch.num_rows
    assert 0 < rows < 1_000_000
    if not end:
        postgresql.start()


def test_error_in_the_middle_of_the_rows(postgresql: PostgreSQL) -> None:
    with pytest.raises(UserError, match="division by zero"):
        read(postgresql.url, "select 10 / (g - 900000) as a from generate_series(1, 1000000) g")
    slow = "select g, pg_sleep(0.001)::text from generate_series(1, 100000) g"
    with pytest.raises(UserError, match=r"statement timeout. Allow it more time"):
        read(f"{postgresql.url}?options=-cstatement_timeout%3D100", slow)


def test_memory_does_not_grow_with_the_rows(postgresql: PostgreSQL) -> None:
    """The peak of a process of its own: another test's peak would hide it."""
    script = f"""
import resource
from titanic_survival.toolkit.batch.database.queries import read_query
peaks = []
for query in ("select 1.5 a", {MILLION_ROWS!r}):
    with read_query({postgresql.url!r}, query) as result:
        rows = sum(batch.num_rows for batch in result.batches)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(rows, peaks[1] - peaks[0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    rows, kilobytes = map(int, done.stdout.split())
    assert rows == 1_000_000 and kilobytes < 40_000, kilobytes
