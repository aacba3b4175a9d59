"""The local MLflow server: it keeps files of runs where `train` keeps them."""

import subprocess
from pathlib import Path
from typing import Any

import mlflow
import pytest
from titanic_survival import config, mlflow_ui
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.registry.local_server import artifact_folder
from titanic_survival.toolkit.registry.runs import start_run


def test_server_and_runs_keep_files_beside_the_database(
    project: config.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path / 'elsewhere' / 'runs.db'}"
    (tmp_path / "elsewhere").mkdir()
    commands: list[list[str]] = []

    def call(command: list[str], env: Any) -> int:
        commands.append(command)
        return 0

    monkeypatch.setattr(subprocess, "call", call)
    with pytest.raises(SystemExit):
        mlflow_ui.run(project.model_copy(update={"mlflow_tracking_uri": uri}), 5999)
    [command] = commands
    destination = command[command.index("--artifacts-destination") + 1]

    previous = mlflow.get_tracking_uri()
    try:
        with start_run(connect(uri, "elsewhere"), "train"):
            kept = mlflow.get_artifact_uri()
    finally:
        mlflow.set_tracking_uri(previous)
        mlflow.set_registry_uri(previous)
    assert destination == (tmp_path / "elsewhere" / "mlartifacts").as_uri()
    assert kept.startswith(destination + "/")


def test_server_of_a_team_keeps_its_own_files() -> None:
    assert artifact_folder("https://mlflow.example.com") is None
