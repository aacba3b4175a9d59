"""`make update`, as an owner runs it: with an environment, locks that are renewed and tests that run."""

from pathlib import Path

import pytest
from conftest import PACKAGE, PROJECT, commit
from cookiecutter.main import cookiecutter
from test_update import edit_as_owners_do, kept, release, replace

from .conftest import Project

pytestmark = pytest.mark.slow


def test_make_update_renews_the_locks_and_runs_the_tests(
    upstream: Path, called: Path, generated: Project, tmp_path: Path
) -> None:
    project = Project(Path(cookiecutter(str(upstream), no_input=True, output_dir=str(tmp_path))), called)
    project.link_environment(generated)
    project.leave_out_spark()
    # A test of the template's that is seen to run, and a target of the owner's.
    tests = upstream / PROJECT / "tests"
    tests.mkdir(exist_ok=True)
    (tests / "test_of_the_template.py").write_text(f"from {PACKAGE} import update\n\n\ndef test_it() -> None: ...\n")
    data = (project.path / "data" / "titanic.csv").read_text()
    edits = edit_as_owners_do(project.path)
    (project.path / "data" / "titanic.csv").write_text(data)
    del edits["data/titanic.csv"]
    # What the environment has anyway, so that this test installs no more than others.
    replace(project.path / "setup.py", '    # "lightgbm>=4",\n', '    "joblib>=1.4",\n')
    (project.path / "own.mk").write_text("fetch:  ## Fetch the rows of the day\n\t@echo fetched\n")
    commit(project.path)
    release(upstream)

    said = project.make("update", ARGS="-k 'test_mine or of_the_template'")
    kept(project.path, edits | {"setup.py": '"joblib>=1.4"', "own.mk": "fetch"})
    assert "- Predict the future." in said
    assert "2 passed" in said
    lock = (project.path / "requirements" / "dev.lock").read_text()
    assert "# other pins" not in lock
    assert "joblib==" in lock
    assert "the whole service" in project.run("make", "help")
    assert "Fetch the rows of the day" in project.run("make", "help")
    assert "fetched" in project.run("make", "fetch")
    names = {line[3:] for line in project.run("git", "status", "--porcelain").splitlines()}
    assert {"setup.py", "Makefile", "README.md", ".cruft.json"} <= names
