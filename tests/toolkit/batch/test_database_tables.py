"""Output tables on a real PostgreSQL: all rows of a job or none, and none of them twice."""

import datetime
import decimal
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from postgresql_server import PostgreSQL
from titanic_survival.toolkit.batch.database.queries import read_query
from titanic_survival.toolkit.batch.database.tables import write_table
from titanic_survival.toolkit.common.errors import UserError

Sql = Callable[[str], list[Any]]
ROWS = pa.record_batch({"name": ["Ada", 'O"Neil; --'], "age": [36.5, None], "version": pa.array([1, 1], pa.int64())})
REJECTED = pa.record_batch(
    {"name": ["Bob"], "row": pa.array([2], pa.int64()), "reasons": ["age: 'x': expected a number"]}
)


def write(
    postgresql: PostgreSQL, table: str = "scores", job: str = "a", rows: pa.RecordBatch = ROWS, *, rejects: int = 0
) -> int:
    """Write rows, each batch twice in one job, and return how many rows of an earlier run they replace."""
    with write_table(postgresql.url, table, job, rows.schema, REJECTED.schema) as writer:
        for batch in (rows, rows.slice(0, 0), rows):
            writer.write(batch)
            writer.reject(REJECTED.slice(0, rejects))
        writer.commit()
        return writer.replaced


def tables(sql: Sql) -> set[str]:
    """Return the names of all tables."""
    return {name for (name,) in sql("select tablename from pg_tables where schemaname in ('public', 'sales')")}


def test_tables_are_made_with_the_columns_and_the_job(postgresql: PostgreSQL, sql: Sql) -> None:
    assert write(postgresql, rejects=1) == 0
    assert sql("select * from scores order by name") == [
        *[("Ada", 36.5, 1, "a")] * 2,
        *[('O"Neil; --', None, 1, "a")] * 2,
    ]
    assert sql("select * from scores_rejects") == [("Bob", 2, "age: 'x': expected a number", "a")] * 3


def test_job_that_runs_again_replaces_its_own_rows(postgresql: PostgreSQL, sql: Sql) -> None:
    write(postgresql, job="monday", rejects=1)
    write(postgresql, job="tuesday", rejects=1)
    assert write(postgresql, job="tuesday") == 4, "rows of the first run"
    assert sql("select batch_job, count(*) from scores group by 1 order by 1") == [("monday", 4), ("tuesday", 4)]
    assert sql("select distinct batch_job from scores_rejects") == [("monday",)], "the second run rejected none"


@pytest.mark.parametrize("fault", ["left", "raised", "stopped", "terminated"])
def test_job_that_does_not_commit_changes_nothing(postgresql: PostgreSQL, sql: Sql, fault: str) -> None:
    write(postgresql)
    before = sql("select * from scores")

    def run() -> None:
        with write_table(postgresql.url, "scores", "a", ROWS.schema, REJECTED.schema) as writer:
            writer.write(ROWS)
            writer.reject(REJECTED)
            if fault == "raised":
                raise ZeroDivisionError
            if fault == "stopped":
                postgresql.stop()
            if fault == "terminated":
                sql("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
            if fault != "left":
                writer.write(ROWS)

    if fault == "left":
        run()
    elif fault == "raised":
        with pytest.raises(ZeroDivisionError):
            run()
    else:
        with pytest.raises(UserError, match=r"The connection was lost; run again.* Nothing was written\."):
            run()
    if fault == "stopped":
        postgresql.start()
        with read_query(postgresql.url, "select * from scores") as result:
            assert sum(batch.num_rows for batch in result.batches) == len(before)
        return
    assert sql("select * from scores") == before
    assert tables(sql) == {"scores"}


def test_server_that_stops_before_the_commit(postgresql: PostgreSQL, sql: Sql) -> None:
    with (
        pytest.raises(UserError, match=r"unknown whether the rows were written. Run again"),
        write_table(postgresql.url, "scores", "a", ROWS.schema, REJECTED.schema) as writer,
    ):
        writer.write(ROWS)
        sql("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
        writer.commit()
    assert tables(sql) == set()


def test_two_runs_of_one_job_at_once(postgresql: PostgreSQL, sql: Sql) -> None:
    write(postgresql)
    with write_table(postgresql.url, "scores", "a", ROWS.schema, REJECTED.schema) as writer:
        with pytest.raises(UserError, match=r"Another run writes the rows of job 'a' to public.scores now"):
            write(postgresql)
        assert write(postgresql, job="b") == 0, "another job need not wait"
        writer.write(ROWS)
        writer.commit()
    assert sql("select batch_job, count(*) from scores group by 1 order by 1") == [("a", 2), ("b", 4)]


def test_values_of_every_type_are_kept(postgresql: PostgreSQL, sql: Sql) -> None:
    when = datetime.datetime(2020, 1, 31, 10, 30, tzinfo=datetime.UTC)
    columns = {
        "tiny": pa.array([-1], pa.int8()),
        "unsigned": pa.array([2**32 - 1], pa.uint32()),
        "huge": pa.array([2**64 - 1], pa.uint64()),
        "half": pa.array([0.5], pa.float16()),
        "single": pa.array([0.25], pa.float32()),
        "nan": pa.array([math.nan]),
        "yes": pa.array([True]),
        "nothing": pa.nulls(1),
        "category": pa.array(["male"]).dictionary_encode(),
        "long": pa.array(["é" * 3], pa.large_string()),
        "nul": pa.array(["a\0b"]),
        "naive": pa.array([when.replace(tzinfo=None)], pa.timestamp("ns")),
        "aware": pa.array([when], pa.timestamp("ms", "Europe/Berlin")),
        "day": pa.array([when.date()]),
        "amount": pa.array([decimal.Decimal("1.25")]),
        "vector": pa.array([[1.5, None]]),
        "fixed": pa.array([[1.5, 2.0]], pa.list_(pa.float32(), 2)),
        "proba": pa.array([{"no\0": 0.25, "yes": math.nan}]),
        "nested": pa.array([[{"a": 1}]]),
        'q"uote': pa.array(["x"]),
        "Select": pa.array(["y"]),
    }
    write(postgresql, rows=pa.RecordBatch.from_pydict(columns))
    found = sql("select * from scores limit 1")[0][:-1]
    assert dict(zip(columns, found, strict=True)) == {
        "tiny": -1,
        "unsigned": 2**32 - 1,
        "huge": 2**64 - 1,
        "half": 0.5,
        "single": 0.25,
        "nan": pytest.approx(math.nan, nan_ok=True),
        "yes": True,
        "nothing": None,
        "category": "male",
        "long": "é" * 3,
        "nul": "a\ufffdb",
        "naive": when.replace(tzinfo=None),
        "aware": when,
        "day": when.date(),
        "amount": decimal.Decimal("1.25"),
        "vector": [1.5, None],
        "fixed": [1.5, 2.0],
        "proba": {"no\ufffd": 0.25, "yes": None},
        "nested": [{"a": 1}],
        'q"uote': "x",
        "Select": "y",
    }


def test_columns_of_a_query_keep_their_types(postgresql: PostgreSQL, sql: Sql) -> None:
    query = """select 12345678901234567890.12::numeric n, '{"a": 1}'::jsonb j, 'sad'::mood m, '{1.5}'::numeric[] v"""
    sql("create type mood as enum ('sad', 'ok')")
    with (
        read_query(postgresql.url, query) as result,
        write_table(postgresql.url, "copied", "a", result.schema, REJECTED.schema) as writer,
    ):
        for batch in result.batches:
            writer.write(batch)
        writer.commit()
    types = sql("select pg_typeof(n)::text, pg_typeof(j)::text, pg_typeof(m)::text, pg_typeof(v)::text from copied")
    assert types == [("numeric", "jsonb", "text", "double precision[]")]
    assert sql("select n::text, j from copied") == [("12345678901234567890.12", {"a": 1})]


def test_table_of_other_types_gets_the_same_values(postgresql: PostgreSQL, sql: Sql) -> None:
    sql(
        "create table scores (id serial, version int2, age numeric(6, 2), name varchar(20), batch_job varchar(20), "
        "added timestamptz default now())"
    )
    for _ in range(2):
        write(postgresql)
    assert sql("select age, name, version, added is not null from scores order by 2") == [
        *[(decimal.Decimal("36.50"), "Ada", 1, True)] * 2,
        *[(None, 'O"Neil; --', 1, True)] * 2,
    ]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            "create table scores (name text, age float8, version int8)",
            r"has no column batch_job, by which .* made by something else.*ADD COLUMN \"batch_job\" text",
        ),
        ("create table scores (batch_job text)", r'no column name, age, version.*ADD COLUMN "age" double precision'),
        (
            "create table scores (name text, age int, version int8, batch_job text)",
            r'the column age is integer.*ALTER COLUMN "age" TYPE double precision',
        ),
        (
            "create table scores (name varchar(3), age float8, version int8, batch_job text)",
            r"value too long for type character varying\(3\).*Nothing was written",
        ),
        (
            "create table scores (name text, age float8, version int8, batch_job text, key int not null)",
            'null value in column "key".*Nothing was written',
        ),
        ("create view scores as select 1 as batch_job", "public.scores is no table but a view"),
    ],
)
def test_table_that_cannot_take_the_rows(postgresql: PostgreSQL, sql: Sql, made: str, message: str) -> None:
    sql(made)
    with pytest.raises(UserError, match=message):
        write(postgresql)
    assert sql("select count(*) from scores where scores::text like '%Ada%'") == [(0,)]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "TABLE is missing.*TABLE=scores"),
        ("nowhere.scores", 'schema "nowhere" does not exist. Create the schema first. Nothing was written'),
        ("a.b.c", "more than a schema and a name"),
        ("a b", "TABLE=a b: string is not a valid identifier"),
        ("x" * 60, "x_rejects' cannot be the name"),
    ],
)
def test_name_that_is_none_of_a_table(postgresql: PostgreSQL, sql: Sql, table: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write(postgresql, table)
    assert tables(sql) == set()


def test_names_are_read_as_sql_reads_them(postgresql: PostgreSQL, sql: Sql) -> None:
    sql('create schema sales; create schema if not exists "My Schema"')
    write(postgresql, "Sales.Scores", rejects=1)
    write(postgresql, '"My Schema"."Drop; table"')
    write(postgresql, "scores", rows=ROWS.select(["name"]))
    assert sql("select count(*) from sales.scores") == sql('select count(*) from "My Schema"."Drop; table"') == [(4,)]
    assert tables(sql) == {"scores", "scores_rejects"}
    sql('drop schema "My Schema" cascade')


def test_column_of_the_job_may_not_be_in_the_input(postgresql: PostgreSQL) -> None:
    with pytest.raises(UserError, match="column batch_job, which is the name of a column of the output"):
        write(postgresql, rows=ROWS.rename_columns(["name", "age", "batch_job"]))
    with pytest.raises(UserError, match="PostgreSQL takes 1 to 63 bytes"):
        write(postgresql, rows=ROWS.rename_columns(["name", "age", "é" * 32]))


def test_right_that_is_missing_is_named_before_rows_are_written(postgresql: PostgreSQL, sql: Sql) -> None:
    write(postgresql)
    sql("drop role if exists bob; create role bob login password 'hunter22'; grant select on scores to bob")
    address = f"postgresql://bob:hunter22@{postgresql.host}/postgres"
    with (
        pytest.raises(
            UserError, match=r"bob lacks the right INSERT, DELETE on public\.scores.*GRANT INSERT, DELETE ON"
        ),
        write_table(address, "scores", "a", ROWS.schema, REJECTED.schema),
    ):
        pass
    sql("grant insert, delete on scores to bob")
    with write_table(address, "scores", "a", ROWS.schema, REJECTED.schema) as writer:
        writer.write(ROWS)
        writer.commit()
    assert sql("select count(*) from scores") == [(2,)]
    sql("drop owned by bob; drop role bob")


def test_job_with_any_name(postgresql: PostgreSQL, sql: Sql) -> None:
    job = "it's\\'); drop table scores; --"
    for _ in range(2):
        write(postgresql, job=job)
    assert sql("select batch_job, count(*) from scores group by 1") == [(job, 4)]
