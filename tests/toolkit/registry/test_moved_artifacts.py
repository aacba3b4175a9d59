"""A database that was moved or copied with its artifacts: what it records is found, and what comes lies beside."""

import shutil
import sqlite3
from pathlib import Path

import mlflow
import pytest
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.registry.moved_artifacts import COLUMNS, correct_addresses
from titanic_survival.toolkit.registry.runs import start_run

#: A space and a letter that an address encodes.
FOLDER = "wütend weit"


def home(settings: config.Settings) -> Path:
    return Path(settings.mlflow_tracking_uri.removeprefix("sqlite:///")).parent


def uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def files(folder: Path) -> set[Path]:
    return set((folder / "mlartifacts").rglob("*"))


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


def test_new_runs_of_a_database_that_was_copied_alone_lie_beside_it(
    trained: config.Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old"
    shutil.copytree(home(trained), old)
    location = f"{old.as_uri()}/mlartifacts/1"
    connect(uri(old), trained.model_name).client.create_experiment("by hand", artifact_location=location)
    before = files(old)
    # A folder of its own, and one in the folder of the original.
    for alone in (tmp_path / "alone", old / "alone"):
        alone.mkdir()
        shutil.copy(old / "mlflow.db", alone)
        registry = connect(uri(alone), trained.model_name)
        assert "2 addresses in it were corrected" in capsys.readouterr().out
        # The files of versions and runs before are where they were.
        registry.download(1, tmp_path / "version")
        shutil.rmtree(tmp_path / "version")
        for name, folder in ((trained.model_name, "mlartifacts"), ("by hand", "mlartifacts/1")):
            with start_run(Registry(registry.uri, name), "train") as run:
                mlflow.log_text("new", "new.txt")
            assert (alone / folder / run.id / "artifacts" / "new.txt").exists()
        # What follows later is found too.
        shutil.copytree(old / "mlartifacts", alone / "mlartifacts", dirs_exist_ok=True)
        connect(uri(alone), trained.model_name)
        assert "corrected" in capsys.readouterr().out
        assert all(address.startswith(f"{alone.as_uri()}/mlartifacts") for address in addresses(alone))
        shutil.rmtree(alone)
    assert files(old) == before


def test_a_database_without_a_table_of_addresses_is_no_error(trained: config.Settings, tmp_path: Path) -> None:
    shutil.copy(home(trained) / "mlflow.db", tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("DROP TABLE logged_models")
    correct_addresses(uri(tmp_path))
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        found = connection.execute(
            "SELECT artifact_location FROM experiments WHERE name = ?", [trained.model_name]
        ).fetchone()
    assert found == ((tmp_path / "mlartifacts").as_uri(),)


def test_locations_elsewhere_stay_and_a_database_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    connect(uri(tmp_path), "model").client.create_experiment("model", artifact_location="s3://bucket/mlartifacts")
    connect(uri(tmp_path), "model")
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        found = connection.execute("SELECT artifact_location FROM experiments WHERE name = 'model'").fetchone()
    assert found == ("s3://bucket/mlartifacts",)
    (tmp_path / "mlflow.db").write_bytes(b"no database, but long enough to be one" * 100)
    with pytest.raises(UserError, match="restore it from a copy"):
        correct_addresses(uri(tmp_path))
