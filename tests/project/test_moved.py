"""A project whose folder was moved or copied: its versions, its deployment and its environment."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Project, call

pytestmark = pytest.mark.slow


@pytest.fixture
def moved(project: Project, tmp_path: Path) -> Iterator[Project]:
    """Return a project with a version that is served, after its folder was moved."""
    before = project.copy(tmp_path / "titanic-survival")
    before.make("train")
    before.make("deploy")
    path = tmp_path / "a place elsewhere"
    before.path.rename(path)
    after = project.copy(tmp_path / "other")
    shutil.rmtree(after.path)
    after.path, after.port, after.env = path, before.port, before.env
    yield after
    after.make("undeploy")


def test_versions_of_before_and_after_a_move_are_served_and_scored(moved: Project, tmp_path: Path) -> None:
    said = moved.make("train")
    assert re.search(r"The folder of mlflow.db was .*/titanic-survival before: \d+ addresses in it", said)
    assert not (tmp_path / "titanic-survival").exists()
    # From the registry, and not from the store.
    shutil.rmtree(moved.path / "store" / "versions")
    moved.make("deploy")
    assert call(f"{moved.url}/predict", moved.rows(1))[1][0]["version"] == 2
    for version in ("1", "2"):
        output = tmp_path / f"{version}.csv"
        moved.make("predict", "INPUT=data/titanic.csv", f"OUTPUT={output}", f"VERSION={version}")
        assert len(output.read_text().splitlines()) > 1000
    history = moved.make("history")
    assert "Version 1 is champion now" in history
    assert "Version 2 is champion now, instead of version 1" in history
    assert not (tmp_path / "titanic-survival").exists()


def test_environment_that_was_moved_or_copied_is_made_anew(project: Project, tmp_path: Path) -> None:
    first = project.copy(tmp_path / "first")
    (first.path / ".venv").unlink()
    # The libraries that an environment has at least: quick to install.
    lock, needed = first.path / "requirements" / "dev.lock", "uv|setuptools|pytest|pluggy|iniconfig|packaging|pygments"
    entries = re.split(r"\n(?=\S)", lock.read_text())
    lock.write_text("\n".join(entry.strip("\n") for entry in entries if re.match(f"({needed})==", entry)) + "\n")
    first.make("setup")
    assert "Making" not in first.make("setup")

    def program(folder: Path) -> str:
        return (folder / ".venv/bin/pytest").read_text()

    copied = Project(tmp_path / "copied", tmp_path)
    shutil.copytree(first.path, copied.path, symlinks=True)
    assert str(first.path) in program(copied.path)
    said = copied.make("setup")
    assert "Making .venv anew: it was made in another folder or its Python is gone." in said
    assert str(copied.path) in program(copied.path)
    assert "Making" not in copied.make("setup")
    assert str(first.path) in program(first.path)

    moved = Project(tmp_path / "moved", tmp_path)
    copied.path.rename(moved.path)
    assert "Making .venv anew" in moved.make("setup")
    assert str(moved.path) in program(moved.path)

    # As after an update of the system.
    (moved.path / ".venv/bin/python").unlink()
    (moved.path / ".venv/bin/python").symlink_to("/usr/bin/python-of-before")
    assert "Making .venv anew" in moved.make("setup")

    # A link to the environment of another copy is used as it is.
    shutil.rmtree(moved.path / ".venv")
    (moved.path / ".venv").symlink_to(first.path / ".venv")
    assert "Making" not in moved.make("setup")
