"""Backfill: the folders of a range of dates are scored once each, whatever interrupts it."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.entities import Run
from titanic_survival import backfill, config, train
from titanic_survival.model import data
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.registry.client import connect

DATES = ("2026-01-30", "2026-01-31", "2026-02-02")


def write(folder: Path, rows: int = 600, files: int = 1) -> None:
    """Write rows of the project's data to a folder."""
    folder.mkdir(parents=True)
    for i in range(files):
        data.load().head(rows).to_parquet(folder / f"{i}.parquet")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Return a folder with a folder for each of `DATES`, the layout of Hive."""
    for date in DATES:
        write(tmp_path / "rows" / f"date={date}")
    return tmp_path / "rows"


def run(settings: config.Settings, rows: Path, first: str = DATES[0], last: str = DATES[-1], **more: Any) -> Path:
    """Score the dates into the folder `scores`, and return that."""
    scores = rows.parent / "scores"
    more.setdefault("reference", "champion")
    backfill.run(settings, f"{rows}/", f"{scores}/", first, last, **more)
    return scores


def runs(settings: config.Settings, kind: str) -> list[Run]:
    """Return the runs of a kind, the oldest first."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    experiment = mlflow.get_experiment_by_name(registry.name)
    assert experiment
    found = mlflow.MlflowClient().search_runs(
        [experiment.experiment_id], f"tags.kind = '{kind}'", order_by=["start_time ASC"]
    )
    return [run for run in found if kind == "backfill" or "date" in run.data.tags]


def versions(scores: Path) -> dict[str, int]:
    """Return the version that scored each folder that is complete."""
    done = scores.rglob("_SUCCESS")
    return {str(path.parent.relative_to(scores)): json.loads(path.read_text())["version"] for path in sorted(done)}


@pytest.mark.parametrize("layout", ["date=%Y-%m-%d", "%Y-%m-%d", "%Y/%m/%d"])
def test_each_date_is_scored_into_a_folder_of_its_name(project: config.Settings, tmp_path: Path, layout: str) -> None:
    names = [datetime.fromisoformat(date).strftime(layout) for date in DATES]
    for name in names:
        write(tmp_path / "rows" / name, rows=5)
    scores = run(project, tmp_path / "rows")
    assert versions(scores) == dict.fromkeys(names, 1)
    for name in names:
        assert len(pd.read_parquet(scores / name)) == 5


def test_dates_outside_of_the_range_are_left_alone(project: config.Settings, rows: Path) -> None:
    scores = run(project, rows, DATES[1], DATES[1])
    assert versions(scores) == {f"date={DATES[1]}": 1}


def test_each_date_has_a_run_below_that_of_the_backfill(project: config.Settings, rows: Path) -> None:
    run(project, rows)
    (parent,) = runs(project, "backfill")
    children = runs(project, "predict")
    assert [child.data.tags["date"] for child in children] == [child.info.run_name for child in children] == [*DATES]
    for child, date in zip(children, DATES, strict=True):
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.params["input"] == f"{rows}/date={date}"
        assert child.data.params["output"] == f"{rows.parent}/scores/date={date}/"
        assert child.data.metrics.items() >= {"rows": 600, "rejected": 0}.items()
        assert child.data.metrics["max_drift"] > 0
        assert child.info.status == "FINISHED"
    assert parent.data.params.items() >= {"from": DATES[0], "to": DATES[-1], "version": "1", "dates": "3"}.items()
    assert parent.data.metrics == {"dates_scored": 3, "dates_failed": 0, "rows": 1800, "rejected": 0}


def test_missing_dates_are_named_and_an_error_if_strict(
    project: config.Settings, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"has no folder for 1 of 4 dates: 2026-02-01 \(STRICT=1\)"):
        run(project.model_copy(update={"strict": True}), rows)
    assert not (rows.parent / "scores").exists()
    scores = run(project, rows)
    assert "has no folder for 1 of 4 dates: 2026-02-01\n" in capsys.readouterr().out
    assert len(versions(scores)) == 3


def test_dates_that_are_done_are_skipped(
    project: config.Settings, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = run(project, rows, last=DATES[1])
    before = {path: path.stat().st_mtime_ns for path in scores.rglob("*.parquet")}
    run(project, rows)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(versions(scores)) == 3
    assert "1 dates, 600 rows; 2 dates were done before" in capsys.readouterr().out
    run(project, rows)
    assert "Nothing to score: 3 dates are done." in capsys.readouterr().out
    assert len(runs(project, "backfill")) == 2


def test_another_version_scores_anew_only_when_asked(
    project: config.Settings, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = run(project, rows)
    assert train.run(project) == 2
    run(project, rows, reference="2")
    assert set(versions(scores).values()) == {1}
    said = capsys.readouterr().out
    assert f"3 dates from {DATES[0]} on were scored by version 1; FORCE=1 scores them anew by version 2" in said
    run(project, rows, reference="2", force=True)
    assert set(versions(scores).values()) == {2}
    assert set(pd.read_parquet(scores / f"date={DATES[0]}")["version"]) == {2}


def test_force_scores_only_what_this_version_has_not_scored(project: config.Settings, rows: Path) -> None:
    scores = run(project, rows)
    before = {path: path.stat().st_mtime_ns for path in scores.rglob("*.parquet")}
    late = rows / f"date={DATES[1]}"
    data.load().head(7).to_parquet(late / "late.parquet")
    run(project, rows, force=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(pd.read_parquet(scores / late.name)) == 607


def test_dates_after_one_that_fails_are_scored(project: config.Settings, rows: Path) -> None:
    (rows / f"date={DATES[0]}" / "0.parquet").write_text("no Parquet")
    with pytest.raises(UserError, match=rf"1 of 3 dates failed: {DATES[0]}\. The others are done"):
        run(project, rows)
    assert len(versions(rows.parent / "scores")) == 2
    assert [child.info.status for child in runs(project, "predict")] == ["FAILED", "FINISHED", "FINISHED"]
    (parent,) = runs(project, "backfill")
    assert (parent.info.status, parent.data.metrics["dates_failed"]) == ("FAILED", 1)


def test_share_of_rejects_is_that_of_a_date(
    project: config.Settings, rows: Path, contract: Contract, capsys: pytest.CaptureFixture[str]
) -> None:
    number = next(field.name for field in contract.row if field.kind in ("float", "int"))
    frame = data.load().head(10).astype(object)
    frame.loc[frame.index[0], number] = "no number"
    (rows / f"date={DATES[0]}" / "0.parquet").unlink()
    frame.to_csv(rows / f"date={DATES[0]}" / "0.csv", index=False)
    with pytest.raises(UserError, match=f"1 of 3 dates failed: {DATES[0]}"):
        run(project.model_copy(update={"max_rejects": 0.01}), rows)
    assert f"Warning: {DATES[0]}: 1 of 10 rows were rejected, more than MAX_REJECTS=0.01" in capsys.readouterr().out
    assert len(versions(rows.parent / "scores")) == 2
    run(project.model_copy(update={"max_rejects": 0.2}), rows)
    assert "10 rows, 1 rejected" in capsys.readouterr().out
    assert len(versions(rows.parent / "scores")) == 3


def test_backfill_that_was_killed_goes_on_where_it_was(project: config.Settings, tmp_path: Path) -> None:
    names = [f"2026-03-{day:02}" for day in range(1, 13)]
    for name in names:
        write(tmp_path / "rows" / name, rows=1300, files=3)
    scores = tmp_path / "scores"
    command = [sys.executable, "-m", config.PACKAGE, "backfill", f"{tmp_path}/rows", f"{scores}/"]
    command += ["--from", names[0], "--to", names[-1]]
    own = {"MLFLOW_TRACKING_URI": project.mlflow_tracking_uri, "STORE": str(project.store)}
    with subprocess.Popen(command, env=os.environ | own, stdout=subprocess.DEVNULL) as process:
        while len(versions(scores)) < 2 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    done = versions(scores)
    assert 2 <= len(done) < len(names)
    before = {path: path.stat().st_mtime_ns for name in done for path in (scores / name).glob("*.parquet")}
    run(project, tmp_path / "rows", names[0], names[-1])
    assert list(versions(scores)) == names
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for name in names:
        assert len(pd.read_parquet(scores / name)) == 3900
    assert int(runs(project, "backfill")[-1].data.params["dates"]) == len(names) - len(done)


def test_interrupted_backfill_leaves_runs_that_say_so(project: config.Settings, tmp_path: Path) -> None:
    write(tmp_path / "rows" / "2026-03-01", rows=5)
    write(tmp_path / "rows" / "2026-03-02", rows=1300, files=100)
    command = [sys.executable, "-m", config.PACKAGE, "backfill", f"{tmp_path}/rows", f"{tmp_path}/scores/"]
    command += ["--from", "2026-03-01", "--to", "2026-03-02"]
    own = {"MLFLOW_TRACKING_URI": project.mlflow_tracking_uri, "STORE": str(project.store)}
    with subprocess.Popen(command, env=os.environ | own, stdout=subprocess.DEVNULL) as process:
        while not (tmp_path / "scores/2026-03-02/_parts/1.json").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
    assert process.returncode not in (0, None)
    assert [run.info.status for run in runs(project, "backfill")] == ["KILLED"]
    assert [run.info.status for run in runs(project, "predict")] == ["FINISHED", "KILLED"]


def test_metrics_of_past_dates_do_not_go_to_prometheus(
    project: config.Settings, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = {"pushgateway": f"127.0.0.1:{free_port()}", "metrics_file": str(rows.parent / "job.prom")}
    run(project.model_copy(update=away), rows)
    assert "PUSHGATEWAY" not in capsys.readouterr().out
    assert not (rows.parent / "job.prom").exists()


def test_words_for_dates_that_move(project: config.Settings, tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    for days in (0, 1, 2):
        write(tmp_path / "rows" / str(today - timedelta(days=days)), rows=2)
    scores = run(project, tmp_path / "rows", "yesterday", "today")
    assert list(versions(scores)) == [str(today - timedelta(days=1)), str(today)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": ""}, "INPUT is missing. For example: make backfill INPUT="),
        ({"output": ""}, "OUTPUT is missing"),
        ({"first": ""}, "FROM is missing; it is YYYY-MM-DD, today or yesterday"),
        ({"last": "31.1.2026"}, "TO=31.1.2026: this is no date"),
        ({"first": "2026-02-03"}, "FROM=2026-02-03 is after TO=2026-02-02"),
        ({"first": "2025-01-01", "last": "2025-01-02"}, "none of the 2 dates has a folder there"),
        ({"source": "nowhere"}, "nowhere: there is no such folder"),
        ({"output": "scores.csv"}, r"scores\.csv: OUTPUT is a folder here"),
        ({"output": "nowhere/scores/"}, "the folder nowhere does not exist"),
        ({"output": "ROWS"}, "both INPUT and OUTPUT"),
        ({"reference": "9"}, r"'9'.* there are: 1"),
    ],
)
def test_what_cannot_be_used_is_named(
    project: config.Settings, rows: Path, change: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rows.parent)
    given = {"source": "rows/", "output": "scores/", "first": DATES[0], "last": DATES[-1], "reference": "champion"}
    given |= {name: value.replace("ROWS", "rows") for name, value in change.items()}
    with pytest.raises(UserError, match=said):
        backfill.run(project, **given)
    assert not (rows.parent / "scores").exists()


def test_engine_that_a_backfill_cannot_use_is_named(trained: config.Settings, rows: Path) -> None:
    with pytest.raises(UserError, match="ENGINE=spark: a backfill runs on this machine"):
        run(trained.model_copy(update={"engine": "spark"}), rows)
