"""`make lock` over locks that are broken or missing, and what it says."""

import re
from pathlib import Path

import pytest

from .conftest import Project

pytestmark = pytest.mark.slow


def locks(project: Project) -> dict[str, bytes]:
    return {
        str(path.relative_to(project.path)): path.read_bytes() for path in project.path.glob("requirements/**/*.lock")
    }


def test_broken_and_missing_locks_are_made_again_from_what_is_intact(project: Project, tmp_path: Path) -> None:
    copy = project.copy(tmp_path / "titanic-survival")
    folder, before = copy.path / "requirements", locks(copy)
    whole = (folder / "train.lock").read_bytes()
    (folder / "train.lock").write_bytes(whole[: len(whole) // 2])
    (folder / "serve.lock").unlink()
    (folder / "model.lock").write_bytes(b"\x00\xff" * 1000)
    (folder / "extras" / "s3.lock").write_text("<<<<<<< HEAD\n" + (folder / "extras" / "s3.lock").read_text())
    said = copy.make("lock")
    assert "requirements/train.lock was broken" in said
    assert "requirements/serve.lock was missing" in said
    assert "requirements/model.lock was broken; 0 libraries in it are intact" in said
    assert "No version changed; written anew: train, model, serve, extras/s3" in said
    assert locks(copy) == before


def test_what_a_lock_changes_is_printed_and_nothing_is_half_done(project: Project, tmp_path: Path) -> None:
    copy = project.copy(tmp_path / "titanic-survival")
    copy.leave_out_spark()
    folder, setup = copy.path / "requirements", copy.path / "setup.py"
    text = setup.read_text()
    setup.write_text(text.replace("MODEL: list[str] = [", 'MODEL: list[str] = [\n    "no-such-library-anywhere>=1",'))
    before = locks(copy)
    said = copy.make("lock", ok=False)
    assert "the locks stay as they were" in said
    assert "no-such-library-anywhere" in said
    assert locks(copy) == before

    setup.write_text(text.replace("MODEL: list[str] = [", 'MODEL: list[str] = [\n    "httpx<0.28",'))
    (folder / "dev.lock").unlink()
    said = copy.make("train", ok=False)
    assert "There is no requirements/dev.lock. Make it: make lock" in said
    said = copy.make("lock")
    assert re.search(r"^httpx +0\.28\S* -> 0\.27\S*  \(dev, train, model, serve", said, re.MULTILINE)
    assert "requirements/dev.lock was missing." in said
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
    assert "Nothing changed." in copy.make("lock")
