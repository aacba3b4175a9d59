"""The machine: what is wrong with Python, git, libraries and disks is found, with its cure."""

import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
from titanic_survival import config
from titanic_survival.toolkit.common.findings import Finding
from titanic_survival.toolkit.diagnosis import locks, machine

Info = namedtuple("Info", "major minor")


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=n@example.com"]
    subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True)


def git_finding(folder: Path) -> Finding:
    [found] = machine.git(folder)
    return found


def test_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IMAGE_ENVIRONMENT", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert [found.level for found in machine.python(tmp_path)] == ["ok"]
    [elsewhere] = machine.python(tmp_path / "other")
    assert (elsewhere.level, "make setup makes .venv" in elsewhere.text) == ("warning", True)
    monkeypatch.setattr(sys, "version_info", Info(3, 10))
    [old] = machine.python(tmp_path)
    assert (old.level, "3.11 is needed: make clean, then make setup" in old.text) == ("error", True)


def test_git_from_nothing_to_a_clean_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IMAGE_REVISION", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_finding(tmp_path).text.startswith("no repository, so versions name no commit: git init")
    git(tmp_path, "init")
    assert git_finding(tmp_path).text.startswith("no commit")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "Begin")
    assert git_finding(tmp_path).level == "ok"
    (tmp_path / "file").write_text("2")
    assert git_finding(tmp_path).text.startswith("files differ from commit")
    (tmp_path / ".env").write_text("SIGNING_PASSWORD=secret")
    git(tmp_path, "add", ".env")
    leaked, *_ = machine.git(tmp_path)
    assert (leaked.level, "git rm --cached .env" in leaked.text) == ("error", True)


def test_disk_that_is_full_or_nearly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def levels(free: int, files: int = 1) -> set[str]:
        found = SimpleNamespace(f_bavail=free, f_frsize=1, f_files=10, f_favail=files)
        monkeypatch.setattr(os, "statvfs", lambda path: found)
        return {finding.level for finding in machine.disks([tmp_path / "not yet there"])}

    assert levels(10**10) == {"ok"}
    assert levels(10**9 - 1) == {"warning"}
    assert levels(10**8 - 1) == {"error"}
    assert levels(10**10, files=0) == {"error"}


def test_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = [finding.text for finding in machine.disks([tmp_path / "file", tmp_path]) if finding.level == "error"]
    assert found == [f"{tmp_path / 'file'} is no folder: remove it, or set another place"]

    def full(**options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", full)
    found = [finding.text for finding in machine.disks([tmp_path]) if finding.level == "error"]
    assert f"{tmp_path}: No space left on device. Make room" in found[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a project whose lock has three libraries, of which one is not for this platform."""
    (tmp_path / "requirements").mkdir()
    pins = {"pydantic": locks.metadata.version("pydantic"), "typer": locks.metadata.version("typer")}
    lines = [f"{name}=={version} \\\n    --hash=sha256:{'0' * 64}\n" for name, version in pins.items()]
    lines.append(f"pywin32==312 ; sys_platform == 'nowhere' \\\n    --hash=sha256:{'0' * 64}\n")
    (tmp_path / "requirements" / "dev.lock").write_text("# made by\n#    make lock\n" + "".join(lines))
    (tmp_path / "setup.py").write_text('SERVE = ["pydantic>=2", "typer"]\nMODEL: list[str] = []\nDEV = [*SERVE]\n')
    return tmp_path


def lock_finding(root: Path) -> Finding:
    [found] = locks.check(root)
    return found


def test_lock_and_environment_agree(root: Path) -> None:
    assert lock_finding(root) == Finding("ok", "2 libraries as in requirements/dev.lock")
    assert {found.level for found in locks.check(config.ROOT)} == {"ok"}


def test_library_that_setup_lists_and_the_lock_lacks(root: Path) -> None:
    (root / "setup.py").write_text('SERVE = ["pydantic>=999"]\nMODEL: list[str] = ["lightgbm>=4"]\n')
    found = lock_finding(root)
    assert found.level == "error"
    assert "does not have what setup.py lists: pydantic>=999 (" in found.text
    assert found.text.endswith("lightgbm: make lock")


def test_environment_that_differs_from_the_lock(root: Path) -> None:
    lock = root / "requirements" / "dev.lock"
    lock.write_text(lock.read_text().replace("typer==", "typer==999.").replace("pydantic==", "nowhere-at-all=="))
    (root / "setup.py").write_text("")
    found = lock_finding(root)
    assert found.level == "error"
    assert found.text.startswith("2 of 2 libraries are not as in requirements/dev.lock: nowhere-at-all is missing,")
    assert found.text.endswith("rm .venv/.done && make setup")


@pytest.mark.parametrize("content", [None, "nothing of a lock"])
def test_lock_that_is_missing_or_broken(root: Path, content: str | None) -> None:
    lock = root / "requirements" / "dev.lock"
    lock.write_text(content) if content else lock.unlink()
    assert lock_finding(root).text == f"{lock} is missing or broken: make lock"
