"""`make report`: which version it reports on, and what it says of it."""

from pathlib import Path

import mlflow
import pytest
from titanic_survival import config, report
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry.client import connect


def test_report_on_the_first_version_has_no_champion_and_its_plots(project: config.Settings, tmp_path: Path) -> None:
    text = report.run(project, "challenger", tmp_path / "report")
    assert ": version 1\n" in text
    assert "![" not in text, "a summary cannot show pictures"
    plots = sorted(path.name for path in (tmp_path / "report/plots/1").iterdir())
    assert "importance.png" in plots
    written = (tmp_path / "report/report.md").read_text()
    assert all(f"(plots/1/{name})" in written for name in plots)


def test_report_says_what_became_of_the_version(project: config.Settings, tmp_path: Path) -> None:
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    for alias in registry.get("1").aliases:
        mlflow.MlflowClient().delete_registered_model_alias(project.model_name, alias)
    registry.set_version_tags(1, {"gates": "passed"})
    assert "`make promote VERSION=1`" in report.run(project, "1", tmp_path / "report")
    registry.set_alias("champion", 1)
    assert "is champion.**" in report.run(project, "1", tmp_path / "report")
    registry.set_version_tags(1, {"gates": "failed", "gates.failed": "accuracy is 0"})
    assert "failed its gates and is champion**, by FORCE=1: accuracy is 0." in report.run(
        project, "1", tmp_path / "report"
    )
    mlflow.MlflowClient().delete_registered_model_alias(project.model_name, "champion")
    assert "failed its gates** and was not promoted: accuracy is 0." in report.run(project, "1", tmp_path / "report")


def test_report_of_a_run_without_plots_is_written(
    project: config.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow.MlflowClient, "list_artifacts", lambda *_: [])
    assert ": version 1\n" in report.run(project, "1", tmp_path / "report")
    assert "![" not in (tmp_path / "report/report.md").read_text()


def test_report_replaces_its_own_files_alone(project: config.Settings, tmp_path: Path) -> None:
    earlier, notes = tmp_path / "report/plots/7/roc.png", tmp_path / "report/notes.md"
    earlier.parent.mkdir(parents=True)
    earlier.touch()
    notes.touch()
    report.run(project, "1", tmp_path / "report")
    assert not earlier.exists()
    assert notes.exists()


def test_version_that_does_not_exist_is_named(project: config.Settings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'9'"):
        report.run(project, "9", tmp_path / "report")
