"""What batch scoring leaves for those who watch it: metrics in its MLflow run and for Prometheus."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run
from prometheus_client.parser import text_string_to_metric_families
from titanic_survival import config, predict
from titanic_survival.model import data
from titanic_survival.toolkit.batch.folder import Folder
from titanic_survival.toolkit.batch.locations import locate
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.release.store import Store


@pytest.fixture
def frame(contract: Contract) -> pd.DataFrame:
    """Return the project's data, whose first row breaks the contract."""
    frame = data.load().astype(object)
    number = next(field.name for field in contract.row if field.kind in ("float", "int"))
    frame.loc[frame.index[0], number] = "no number"
    return frame


def runs(project: config.Settings) -> list[Run]:
    """Return the runs of batch scoring, the last one first."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    experiment = mlflow.get_experiment_by_name(registry.name)
    assert experiment
    return list(mlflow.MlflowClient().search_runs([experiment.experiment_id], "tags.kind = 'predict'"))


def test_run_and_textfile_have_the_drift_of_the_scored_rows(
    project: config.Settings, frame: pd.DataFrame, tmp_path: Path, contract: Contract
) -> None:
    frame.to_csv(tmp_path / "in.csv", index=False)
    settings = project.model_copy(update={"metrics_file": str(tmp_path / "job.prom"), "metrics_job": "nightly"})
    predict.run(settings, str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), "champion")

    profile = Store(project.store).load(1).profile
    expected = profile.drift(dataframes.check_features(data.load().iloc[1:], contract).columns)
    run = runs(project)[0]
    metrics = run.data.metrics
    assert (metrics["rows"], metrics["rejected"]) == (len(frame), 1)
    assert {name: metrics[f"drift/{name}"] for name in profile.features} == pytest.approx(expected)
    assert metrics["max_drift"] == pytest.approx(max(expected.values()))
    assert all(metrics[f"output_drift/{name}"] < 0.1 for name in profile.outputs)
    assert metrics["outliers"] < 0.03 * len(frame)
    assert 0 < metrics["seconds"] < 60

    families = {family.name: family for family in text_string_to_metric_families((tmp_path / "job.prom").read_text())}
    by_name = {sample.name: sample for family in families.values() for sample in family.samples}
    assert by_name["model_batch_rows"].value == len(frame)
    assert by_name["model_batch_rows"].labels == {"job": "nightly", "version": "1"}
    for name in profile.features:
        samples = [s for s in families["model_batch_feature_bin_rows"].samples if s.labels["feature"] == name]
        assert sum(sample.value for sample in samples) == len(frame) - 1


def test_parts_of_a_folder_add_up_after_a_resumed_job_too(
    project: config.Settings, frame: pd.DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for i, part in enumerate(np.array_split(np.arange(len(frame)), 3)):
        frame.iloc[part].to_csv(tmp_path / "in" / f"{i}.csv", index=False)
    output = tmp_path / "out"
    predict.run(project, f"{tmp_path}/in", f"{output}/", "champion")
    whole = Folder(locate(str(output))).summary()
    (output / "_parts" / "1.json").unlink()
    predict.run(project.model_copy(update={"resume": True}), f"{tmp_path}/in", f"{output}/", "champion")
    assert Folder(locate(str(output))).summary() == whole
    again, first, *_ = runs(project)
    assert again.data.metrics | {"seconds": 0} == first.data.metrics | {"seconds": 0}
    assert "max_drift" in first.data.metrics


def test_pushgateway_that_is_away_fails_no_job(
    project: config.Settings, frame: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame.head(5).to_csv(tmp_path / "in.csv", index=False)
    settings = project.model_copy(update={"pushgateway": f"http://ada:secret@127.0.0.1:{free_port()}"})
    predict.run(settings, str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), "champion")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "PUSHGATEWAY" in line]
    assert line.startswith("Warning: The metrics of this job were not pushed to PUSHGATEWAY=http://***@127.0.0.1:")
    assert (tmp_path / "out.csv").is_file()
    assert runs(project)[0].info.status == "FINISHED"


def test_metrics_file_that_nobody_would_read_is_named_before_the_job(
    project: config.Settings, frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame.to_csv(tmp_path / "in.csv", index=False)
    settings = project.model_copy(update={"metrics_file": str(tmp_path / "job.txt")})
    with pytest.raises(UserError, match=r"job\.txt: the name must end in \.prom"):
        predict.run(settings, str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), "champion")
    assert not (tmp_path / "out.csv").exists()
