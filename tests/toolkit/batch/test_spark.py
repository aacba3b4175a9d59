"""Batch scoring over Spark, in a session on this machine: the same output as without."""

import gzip
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel
from titanic_survival import config, predict
from titanic_survival.model import data
from titanic_survival.toolkit.batch import job, parts
from titanic_survival.toolkit.batch.scoring import Scorer
from titanic_survival.toolkit.batch.spark.session import spark_session
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.version.artifact import Artifact

pytest.importorskip("pyspark")
from titanic_survival.toolkit.batch.spark import scoring as spark

MASTER = "local[2]"


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    """Return a session of Spark on two cores, which every test and every job of this file uses."""
    if shutil.which("java") is None:
        assert "REQUIRE_TOOLS" not in os.environ, "Java is not installed"
        pytest.skip("Java is not installed")
    with spark_session(MASTER, "test") as session:
        yield session


class Row(BaseModel):
    """A number."""

    number: int


class Prediction(BaseModel):
    """Twice the number."""

    double: float


class Deadly:
    """Doubles numbers; 666 kills its process: the first time, or each time if there is no path to remember it by."""

    def __init__(self, once: str = "") -> None:
        self.once = once

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the double of each number."""
        from pathlib import Path

        if (frame["number"] == 666).any() and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2.0 * frame["number"].to_numpy()


@pytest.fixture
def deadly(save: Callable[..., Artifact]) -> Iterator[Callable[..., Artifact]]:
    """Return a function that makes a version of the deadly model."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield lambda once="": save(Row, Prediction, Deadly(str(once)), [{"number": 1}])
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def score(version: Artifact, source: Path, output: Path, *, on_spark: bool = True, **options: Any) -> job.Result:
    """Score files into a folder."""
    scorer = Scorer(version, 3, "the version's digest", datetime(2026, 1, 1, tzinfo=UTC))
    shares: list[tuple[int, float]] = []

    def progress(rows: int, share: float) -> None:
        shares.append((rows, share))

    engine = spark.on_spark(MASTER, "test", progress) if on_spark else None
    result = job.run(job.Job(str(source), f"{output}/", scorer, **options), progress, engine)
    assert [share for _, share in shares] == sorted(share for _, share in shares)
    if not result.resumed:
        assert sum(rows for rows, _ in shares) == result.counts.rows
        assert shares[-1][1] == pytest.approx(1)
    return result


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, without hidden ones, which a killed process leaves for a while."""
    found = (path for path in folder.rglob("[!.]*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def working_directories(session: Any) -> list[str]:
    """Return where the processes of the executors are."""

    def found(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pa.record_batch({"folder": [str(Path.cwd())] * len(batch)})

    rows = session.range(0, 2, 1, 2).mapInArrow(found, "folder string").collect()
    return [row.folder for row in rows]


def numbers(folder: Path, **files: list[Any]) -> Path:
    """Write Parquet files of numbers and return their folder."""
    folder.mkdir()
    for name, values in files.items():
        pq.write_table(pa.table({"number": values}), folder / f"{name}.parquet")
    return folder


def test_files_are_those_of_one_machine(
    session: Any, version: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 300)
    monkeypatch.chdir(tmp_path)  # rejected rows have the name of their file as it was given
    source = tmp_path / "in"
    (source / "day=2").mkdir(parents=True)
    rows = data.load()
    text = rows.to_csv(index=False)
    (source / "whole.csv").write_text(text)
    lines = text.splitlines()
    lines[7] = ",".join("?" for _ in lines[0].split(","))
    (source / "day=2" / "rejects.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), source / "groups.parquet", row_group_size=100)
    assert len(parts.plan("in")) > 4
    alone = score(version, Path("in"), Path("alone"), on_spark=False)
    together = score(version, Path("in"), Path("together"))
    assert together.counts.as_json() == alone.counts.as_json()
    assert together.counts.rejected == 1
    assert together.warnings == alone.warnings
    expected = content(tmp_path / "alone")
    assert "_rejects/day=2/rejects.csv" in expected
    assert content(tmp_path / "together") == expected
    # Names of files may be relative to where the job starts; what is shipped is relative to where an executor does.
    assert set(working_directories(session)) != {str(tmp_path)}


def test_part_whose_process_is_killed_is_scored_again(
    session: Any, deadly: Callable[..., Artifact], tmp_path: Path
) -> None:
    version = deadly(tmp_path / "killed")
    source = numbers(tmp_path / "in", a=[1, 2], b=[3, 666, None], c=[5])
    result = score(version, source, tmp_path / "out")
    assert (tmp_path / "killed").exists()
    assert result.counts[:2] == (6, 1)
    assert {name for name in content(tmp_path / "out") if not name.startswith("_")} == {
        *("a.parquet", "b.parquet", "c.parquet")
    }
    score(version, source, tmp_path / "alone", on_spark=False)
    assert content(tmp_path / "out") == content(tmp_path / "alone")


def test_part_that_kills_each_process_is_named(session: Any, deadly: Callable[..., Artifact], tmp_path: Path) -> None:
    source = numbers(tmp_path / "in", a=[1, 2], b=[3, 666], c=[5])
    with pytest.raises(UserError, match=r"in/b\.parquet could not be scored on Spark, tried 4 times: its Python"):
        score(deadly(), source, tmp_path / "out")


def test_part_that_cannot_be_read_is_named_and_a_second_job_goes_on_with_it(
    session: Any, deadly: Callable[..., Artifact], tmp_path: Path
) -> None:
    version = deadly()
    source = numbers(tmp_path / "in", a=[1], b=[2], c=[3], d=list(range(1000, 2000)))
    whole = (source / "d.parquet").read_bytes()
    (source / "d.parquet").write_bytes(whole[:4] + bytes(400) + whole[404:])  # its schema is at the end
    with pytest.raises(UserError, match=r"in/d\.parquet cannot be read") as caught:
        score(version, source, tmp_path / "out")
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "out/d.parquet").exists()
    assert not (tmp_path / "out/_SUCCESS").exists()
    (source / "d.parquet").write_bytes(whole)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}
    result = score(version, source, tmp_path / "out", resume=True)
    assert result.resumed == len(before) > 0
    assert result.counts[:2] == (1003, 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    score(version, source, tmp_path / "alone", on_spark=False)
    assert content(tmp_path / "out") == content(tmp_path / "alone")


def test_too_many_rejected_rows_end_the_job(session: Any, deadly: Callable[..., Artifact], tmp_path: Path) -> None:
    source = numbers(tmp_path / "in", a=[None, None, 1], b=[2])
    with pytest.raises(job.TooManyRejectsError, match="MAX_REJECTS"):
        score(deadly(), source, tmp_path / "out", max_rejects=0.1)
    assert not (tmp_path / "out/_SUCCESS").exists()
    assert session.range(3).count() == 3


def test_command_scores_on_the_master_and_records_the_run(
    session: Any, project: config.Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.load().to_csv(tmp_path / "rows.csv", index=False)
    source, output = str(tmp_path / "rows.csv"), f"{tmp_path}/scores/*.parquet"
    result = predict.run(project.model_copy(update={"engine": "spark"}), source, output, "champion")
    assert pq.read_table(tmp_path / "scores/rows.parquet").num_rows == result.counts.rows == len(data.load())
    assert f"{result.counts.rows} of {result.counts.rows} rows" in capsys.readouterr().out
    again = predict.run(project, source, f"{tmp_path}/again/*.parquet", "champion", master=MASTER)
    assert again.counts.as_json() == result.counts.as_json()


def test_file_as_output_is_an_error_that_says_what_to_set(project: config.Settings, tmp_path: Path) -> None:
    data.load().to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(UserError, match=r"out\.csv is a file, and with ENGINE=spark .* set OUTPUT to a folder"):
        predict.run(
            project.model_copy(update={"engine": "spark"}),
            str(tmp_path / "rows.csv"),
            str(tmp_path / "out.csv"),
            "champion",
        )


@pytest.mark.parametrize(
    ("source", "output", "option"),
    [
        ("postgresql://h/sales", "out/", {"query": "select 1"}),
        ("data/titanic.csv", "postgresql://h/sales", {"table": "scores"}),
    ],
)
def test_databases_are_not_for_spark(
    project: config.Settings, source: str, output: str, option: dict[str, str]
) -> None:
    with pytest.raises(UserError, match="ENGINE=spark scores files, not databases"):
        predict.run(project.model_copy(update={"engine": "spark"} | option), source, output, "champion")


def test_model_answers_as_udf_of_spark(session: Any, trained: config.Settings, version: Artifact) -> None:
    import mlflow

    mlflow.set_tracking_uri(trained.mlflow_tracking_uri)
    uri = f"models:/{trained.model_name}@champion"
    frame = data.load()[[field.name for field in version.contract.row]]
    assert frame.isna().any().any()
    expected = mlflow.pyfunc.load_model(uri).predict(frame)
    rows = session.createDataFrame(pa.Table.from_pandas(frame, preserve_index=False)).repartition(2)
    score = mlflow.pyfunc.spark_udf(session, uri)
    scored = rows.select("*", score(*rows.columns).alias("prediction")).toArrow()
    found = [row.pop("prediction") for row in scored.to_pylist()]
    # Spark may have changed the order of the rows.
    again = mlflow.pyfunc.load_model(uri).predict(scored.drop_columns("prediction").to_pandas())
    assert found == again.to_dict("records")
    assert sorted(row["probability"] for row in found) == sorted(expected["probability"])
