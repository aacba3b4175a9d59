"""A database that was moved or copied with its artifacts: what it records is found, and what comes lies beside."""

import shutil
import sqlite3
from pathlib import Path

import mlflow
import pytest
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.registry.moved_artifacts import COLUMNS, correct_addresses
from titanic_survival.toolkit.registry.runs import start_run

#: A space and a letter that an address encodes.
FOLDER = "wütend weit"


def home(settings: config.Settings) -> Path:
    return Path(settings.mlflow_tracking_uri.removeprefix("sqlite:///")).parent


def uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def addresses(folder: Path) -> set[str]:
    """Return the addresses of files in the database, without those of the experiment that nobody uses."""
    with sqlite3.connect(folder / "mlflow.db") as connection:
        found = [row for table, column in COLUMNS for row in connection.execute(f"SELECT {column} FROM {table}")]
    return {address for (address,) in found if address.startswith("file:")}


def test_moved_and_copied_versions_are_downloaded_from_the_new_place(
    trained: config.Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied, moved = tmp_path / FOLDER, tmp_path / "moved"
    before = addresses(home(trained))
    shutil.copytree(home(trained), copied)
    for folder in (copied, moved):
        if folder == moved:
            copied.rename(moved)
        registry = connect(uri(folder), trained.model_name)
        assert "addresses in it were corrected" in capsys.readouterr().out
        assert all(address.startswith(folder.as_uri()) for address in addresses(folder))
        registry.download(1, folder / "version")
        assert (folder / "version" / "contract.json").exists()
        shutil.rmtree(folder / "version")
        # As anybody would load it.
        assert mlflow.pyfunc.load_model(f"models:/{trained.model_name}/1")
        with start_run(registry, "train") as run:
            mlflow.log_text("new", "new.txt")
        assert list(folder.glob(f"mlartifacts/{run.id}/artifacts/new.txt"))
        connect(uri(folder), trained.model_name)
        assert "corrected" not in capsys.readouterr().out
    assert addresses(home(trained)) == before
    connect(trained.mlflow_tracking_uri, trained.model_name)


def test_addresses_of_what_was_not_moved_stay(trained: config.Settings, tmp_path: Path) -> None:
    # What an earlier training of a moved project wrote to the old folder.
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(home(trained), old)
    registry = connect(uri(old), trained.model_name)
    with start_run(registry, "train") as run:
        mlflow.log_text("left behind", "left.txt")
    shutil.copytree(old, new)
    shutil.rmtree(new / "mlartifacts" / run.id)
    registry = connect(uri(new), trained.model_name)
    left = {address for address in addresses(new) if address.startswith(old.as_uri())}
    assert left == {f"{old.as_uri()}/mlartifacts/{run.id}/artifacts"}
    assert registry.client.list_artifacts(run.id)
    registry.download(1, tmp_path / "version")

    # The database alone: its files are where they were.
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(old / "mlflow.db", alone)
    connect(uri(alone), trained.model_name).download(1, tmp_path / "other")
    assert addresses(alone) == addresses(old)


def test_locations_elsewhere_stay_and_a_database_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    connect(uri(tmp_path), "model").client.create_experiment("model", artifact_location="s3://bucket/mlartifacts")
    connect(uri(tmp_path), "model")
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        found = connection.execute("SELECT artifact_location FROM experiments WHERE name = 'model'").fetchone()
    assert found == ("s3://bucket/mlartifacts",)
    (tmp_path / "mlflow.db").write_bytes(b"no database, but long enough to be one" * 100)
    with pytest.raises(UserError, match="restore it from a copy"):
        correct_addresses(uri(tmp_path))
