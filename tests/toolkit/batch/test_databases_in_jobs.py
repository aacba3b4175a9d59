"""Jobs that read a query, write a table, or both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from postgresql_server import PASSWORD, PostgreSQL
from titanic_survival import config, predict
from titanic_survival.toolkit.batch import job
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.version.artifact import Artifact

Sql = Callable[[str], list[Any]]
Score = Callable[..., job.Result]


@pytest.fixture
def source(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    """Return a file of rows, the last of which is invalid."""
    frame = pd.DataFrame(rows).assign(number=range(len(rows)))
    frame.loc[len(rows) - 1, "sex"] = "robot"
    frame.to_csv(tmp_path / "in.csv", index=False)
    return tmp_path / "in.csv"


@pytest.fixture
def passengers(postgresql: PostgreSQL, sql: Sql, source: Path) -> str:
    """Return a query whose rows are those of the file."""
    frame = pd.read_csv(source, dtype=str, keep_default_na=False)
    kinds = {"age": "numeric", "fare": "float8", "number": "int"}
    columns = ", ".join(f'"{name}" {kinds.get(name, "text")}' for name in frame)
    sql(f"create table passengers ({columns})")
    for row in frame.to_dict("records"):
        values = ", ".join(f"'{value}'" if value else "null" for value in row.values())
        sql(f"insert into passengers values ({values})")
    return "select * from passengers order by number"


def test_file_query_and_table_give_the_same_predictions(
    postgresql: PostgreSQL,
    sql: Sql,
    score_files: Score,
    version: Artifact,
    source: Path,
    passengers: str,
    tmp_path: Path,
) -> None:
    expected, label = tmp_path / "expected.parquet", version.contract.label.name
    score_files(version, 3, source, expected)
    files = pd.read_parquet(expected)[["number", label]].astype({"number": int})
    of_query = score_files(version, 3, postgresql.url, tmp_path / "query.parquet", query=passengers)
    assert pd.read_parquet(tmp_path / "query.parquet")[["number", label]].to_dict() == files.to_dict()
    to_table = score_files(version, 3, source, postgresql.url, table="scores")
    score_files(version, 3, postgresql.url, postgresql.url, query=passengers, table="copies")
    for table in ("scores", "copies"):
        found = sql(f'select number::int, "{label}" from {table} order by 1')
        assert found == list(files.itertuples(index=False, name=None))
        ((row, violation),) = sql(f"select row, value from {table}_rejects") or [(0, "")]
        assert (row, violation) == (len(files), "'robot'")
    assert of_query.counts[:2] == to_table.counts[:2] == (len(files) + 1, 1)
    assert to_table.rejects == "public.scores_rejects"
    assert sql("select pg_typeof(age)::text from copies limit 1") == [("numeric",)]


def test_run_again_replaces_the_rows_of_the_same_input(
    postgresql: PostgreSQL, sql: Sql, score_files: Score, version: Artifact, source: Path, passengers: str
) -> None:
    more: dict[str, Any] = {"table": "scores", "query": passengers}
    for replaced in (0, 99):
        assert score_files(version, 3, source, postgresql.url, table="scores").replaced_rows == replaced
        assert score_files(version, 3, postgresql.url, postgresql.url, **more).replaced_rows == replaced
    score_files(version, 3, postgresql.url, postgresql.url, **more | {"query": f"{passengers} limit 5"}, name="today")
    names = dict(sql("select batch_job, count(*) from scores group by 1"))
    assert names.pop(str(source)) == 99 and names.pop("today") == 5
    ((name, count),) = names.items()
    assert count == 99 and name.startswith(f"postgresql://{postgresql.host}/postgres ") and PASSWORD not in name


def test_too_many_rejected_rows_roll_everything_back(
    postgresql: PostgreSQL, sql: Sql, score_files: Score, version: Artifact, source: Path
) -> None:
    score_files(version, 3, source, postgresql.url, table="scores", name="before")
    with pytest.raises(UserError, match="more than MAX_REJECTS=0 allows"):
        score_files(version, 3, source, postgresql.url, table="scores", name="before", max_rejects=0.0)
    with pytest.raises(UserError, match="more than MAX_REJECTS=0 allows"):
        score_files(version, 3, source, postgresql.url, table="others", max_rejects=0.0)
    assert sql("select count(*) from scores") == [(99,)]
    assert sql("select count(*) from pg_tables where tablename like 'others%'") == [(0,)]


def test_missing_column_is_named_before_a_table_is_made(
    postgresql: PostgreSQL, sql: Sql, score_files: Score, version: Artifact, passengers: str, contract: Contract
) -> None:
    field = next(field.name for field in contract.row if field.required)
    sql(f'alter table passengers drop column "{field}"')
    with pytest.raises(UserError, match=rf"(?s)^postgresql://{postgresql.host}/postgres.*{field}"):
        score_files(version, 3, postgresql.url, postgresql.url, query=passengers, table="scores")
    assert sql("select count(*) from pg_tables where tablename = 'scores'") == [(0,)]
    with pytest.raises(UserError, match="rows of a query go into one file"):
        score_files(version, 3, postgresql.url, "folder/", query="select 1 a")


def test_run_records_the_query_and_no_password(
    postgresql: PostgreSQL, project: config.Settings, passengers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = project.model_copy(update={"query": passengers, "table": "scores"})
    for _ in range(2):
        predict.run(settings, postgresql.url, postgresql.url, "champion")
    said = capsys.readouterr()
    assert "99 rows of an earlier run of this job were replaced." in said.out + said.err
    assert "public.scores_rejects (1 invalid rows" in said.out + said.err
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    experiment = registry.client.get_experiment_by_name(registry.name)
    run, _ = registry.client.search_runs([experiment.experiment_id], "tags.kind = 'predict'")
    address = f"postgresql://{postgresql.host}/postgres"
    wanted = {"input": address, "output": address, "query": passengers, "table": "scores", "version": "1"}
    assert run.data.params == wanted
    assert PASSWORD not in said.out + said.err + str(run.data)


@pytest.mark.parametrize(
    ("given", "source", "output", "message"),
    [
        ({}, "{url}", "out.csv", "QUERY is missing. For example: INPUT=postgresql://"),
        ({}, "in.csv", "{url}", "TABLE is missing. For example"),
        ({"query": "select 1"}, "in.csv", "out.csv", "QUERY=select 1 needs a database as INPUT"),
        ({"table": "scores"}, "in.csv", "out.csv", "TABLE=scores needs a database as OUTPUT"),
    ],
)
def test_setting_that_is_missing_or_has_no_effect(
    trained: config.Settings, given: dict[str, str], source: str, output: str, message: str
) -> None:
    url = f"postgresql://ada:{PASSWORD}@127.0.0.1:1/sales"
    with pytest.raises(UserError, match=message) as raised:
        predict.run(trained.model_copy(update=given), source.format(url=url), output.format(url=url), "champion")
    assert PASSWORD not in str(raised.value)
