"""Batch scoring as a command: by the registry's version, recorded as a run."""

import hashlib
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from titanic_survival import config, predict
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry.client import connect


@pytest.fixture
def source(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    path = tmp_path / "in.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_run_records_what_was_scored_by_which_version(
    project: config.Settings, source: Path, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    predict.run(project, str(source), str(tmp_path / "out.csv"), "challenger")
    assert (tmp_path / "out.csv").is_file()
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    experiment = mlflow.get_experiment_by_name(registry.name).experiment_id
    (run,) = mlflow.MlflowClient().search_runs([experiment], "tags.kind = 'predict'")
    assert run.info.status == "FINISHED"
    assert run.data.tags["version"] == run.data.params["version"] == "1"
    assert run.data.params["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert run.data.metrics.items() >= {"rows": len(rows), "rejected": 0}.items()


@pytest.mark.parametrize(
    ("given", "wanted", "said"),
    [
        ("in.txt", "out.csv", "must end in .csv, .csv.gz, .csv.zst or .parquet"),
        ("in.csv", "out.xlsx", "must end in .csv, .csv.gz, .csv.zst or .parquet"),
        ("none.csv", "out.csv", "there is no such file"),
        ("in.csv", "in.csv", "both INPUT and OUTPUT"),
        ("in.csv", "nowhere/out.csv", "does not exist"),
    ],
)
def test_paths_that_cannot_be_used_are_named(
    trained: config.Settings, source: Path, tmp_path: Path, given: str, wanted: str, said: str
) -> None:
    before = source.read_bytes()
    with pytest.raises(UserError, match=said):
        predict.run(trained, str(tmp_path / given), str(tmp_path / wanted), "champion")
    assert source.read_bytes() == before


@pytest.mark.parametrize(("given", "wanted", "name"), [("", "out.csv", "INPUT"), ("in.csv", "", "OUTPUT")])
def test_path_that_is_not_set_is_named(
    trained: config.Settings, source: Path, given: str, wanted: str, name: str
) -> None:
    with pytest.raises(UserError, match=f"{name} is missing. For example: make predict INPUT="):
        predict.run(trained, given and str(source), wanted, "champion")


def test_unknown_version_names_those_there_are(trained: config.Settings, source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'9'.* there are: 1"):
        predict.run(trained, str(source), str(tmp_path / "out.csv"), "9")
    assert not (tmp_path / "out.csv").exists()


def test_output_that_is_a_folder_is_named(trained: config.Settings, source: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        predict.run(trained, str(source), str(tmp_path / "out.csv"), "champion")


def test_later_of_two_runs_says_that_it_replaced_the_other(
    project: config.Settings,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    score = predict.job.run

    def replaced(*arguments: Any, **options: Any) -> Any:
        return score(*arguments, **options)._replace(replaced=True)

    monkeypatch.setattr(predict.job, "run", replaced)
    predict.run(project, str(source), str(tmp_path / "out.csv"), "champion")
    assert "Another run has written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("output", "said"),
    [("out.csv", "Stopped: nothing was written to"), ("out", "files that are complete; RESUME=1 goes on")],
)
def test_job_that_is_stopped_says_what_is_there(
    project: config.Settings,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output: str,
    said: str,
) -> None:
    def stop(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(predict.recorded.job, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        predict.run(project, str(source), str(tmp_path / output), "champion")
    assert said in capsys.readouterr().out


def test_unknown_columns_are_said_and_an_error_if_strict(
    project: config.Settings, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.read_csv(source).assign(surplus=1).to_csv(source, index=False)
    predict.run(project, str(source), str(tmp_path / "out.csv"), "champion")
    assert "Warning: " in (said := capsys.readouterr().out)
    assert "'surplus'" in said
    with pytest.raises(UserError, match="'surplus'"):
        predict.run(project.model_copy(update={"strict": True}), str(source), str(tmp_path / "out.csv"), "champion")


def test_resume_is_said_to_change_nothing_for_one_file(
    project: config.Settings, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resumed = project.model_copy(update={"resume": True})
    predict.run(resumed, str(source), f"{tmp_path}/out.csv", "challenger")
    assert "RESUME=1 changes nothing" in capsys.readouterr().out
    predict.run(resumed, str(source), f"{tmp_path}/out/", "challenger")
    assert "RESUME=1" not in capsys.readouterr().out


def test_a_job_that_rejects_most_rows_says_what_makes_that_an_error(
    project: config.Settings, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.read_csv(source).assign(sex="unknown").to_csv(source, index=False)
    predict.run(project, str(source), str(tmp_path / "out.csv"), "challenger")
    assert "rows were rejected. With MAX_REJECTS=0.1 that is an error" in capsys.readouterr().out
