"""The commit of a version: of its own folder, whatever else its repository has."""

import os
import subprocess
from pathlib import Path

import pytest
from titanic_survival.toolkit.training import provenance


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with the folders `one` and `two`, committed in this order."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git(tmp_path, "init", "--quiet")
    for seconds, name in enumerate(("one", "two"), 1_700_000_000):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{seconds} +0000")
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.py").write_text(name)
        git(tmp_path, "add", name)
        git(tmp_path, "-c", "user.name=T", "-c", "user.email=t@example.com", "commit", "--quiet", "-m", name)
    return tmp_path


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_commit_is_the_last_that_changed_the_folder(repository: Path) -> None:
    first, last = (git(repository, "rev-parse", name)[:12] for name in ("HEAD~1", "HEAD"))
    assert (provenance.commit(repository / "one"), provenance.commit(repository / "two")) == (first, last)
    assert provenance.commit(repository) == last
    times = [provenance.commit_time(repository / name) for name in ("one", "two")]
    assert [time and time.timestamp() for time in times] == [1_700_000_000, 1_700_000_001]


@pytest.mark.parametrize("name", ["file.py", "new.py"])
def test_folder_is_dirty_by_its_own_files_alone(name: str, repository: Path) -> None:
    clean = provenance.commit(repository / "one")
    (repository / "two" / name).write_text("changed")
    assert provenance.commit(repository / "one") == clean
    assert provenance.commit(repository / "two").endswith("-dirty")


def test_folder_without_a_commit_has_none(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (repository / "three").mkdir()
    for folder in (repository / "three", tmp_path_factory.mktemp("no-repository")):
        assert (provenance.commit(folder), provenance.commit_time(folder)) == ("none", None)
    assert provenance.repository(repository / "one") == repository
    assert provenance.repository(tmp_path_factory.mktemp("no-repository")) is None
