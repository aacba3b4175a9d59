"""Updating a project: what it takes from the template, what it leaves alone, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import LEFTOVERS, PACKAGE, PROJECT, ROOT, Bake, commit, git
from cookiecutter.main import cookiecutter

Update = Callable[..., "subprocess.CompletedProcess[str]"]
NAME = "titanic_survival"
#: The release before this one.
PREVIOUS, PREVIOUS_COMMIT = "0.1.0", "a92f702dd97b71e0003b1f693ade4428d5ab6cee"


@pytest.fixture
def project(upstream: Path, tmp_path: Path) -> Path:
    """Return a project of the template as it stands, everything committed."""
    made = Path(cookiecutter(str(upstream), no_input=True, output_dir=str(tmp_path)))
    commit(made)
    return made


@pytest.fixture
def update(tmp_path: Path) -> Update:
    """Return a function that updates a project; `make` only writes down what it is to make, in `made`."""
    tools = tmp_path / "tools"
    tools.mkdir()
    make = tools / "make"
    make.write_text('#!/bin/sh\necho "$@" >> "$(dirname "$0")/made"\nexit "${MAKE_FAILS:-0}"\n')
    make.chmod(0o755)

    def run(project: Path, ok: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        (tools / "made").unlink(missing_ok=True)
        own = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "COLUMNS": "200"} | env
        command = [sys.executable, "-m", NAME, "update"]
        done = subprocess.run(command, cwd=project, env=own, capture_output=True, text=True)
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def made(tmp_path: Path) -> Callable[[], list[str]]:
    """Return a function that returns what `make` was to make."""
    return lambda: (tmp_path / "tools" / "made").read_text().split() if (tmp_path / "tools" / "made").exists() else []


def replace(path: Path, old: str, new: str) -> None:
    """Replace a text that stands once in a file."""
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


def edit_as_owners_do(project: Path) -> dict[str, str]:
    """Edit a project's files; return a line of each edit by its file."""
    model = project / NAME / "model"
    replace(model / "data.py", "    return pd.read_csv(SOURCE)\n", "    return pd.read_csv(SOURCE).dropna()  # mine\n")
    (model / "steps.py").write_text("MINE = 1\n")
    (project / "data" / "titanic.csv").write_text("mine\n")
    replace(project / "README.md", "# Titanic survival\n", "# Titanic survival\n\nAsk Ada of my team.\n")
    (project / "tests").mkdir(exist_ok=True)
    (project / "tests" / "test_mine.py").write_text("def test_mine() -> None: ...\n")
    with (project / "Makefile").open("a") as file:
        file.write("\nmine:  ## A target of mine\n\techo mine\n")
    return {
        f"{NAME}/model/data.py": "# mine",
        f"{NAME}/model/steps.py": "MINE = 1",
        "data/titanic.csv": "mine",
        "README.md": "Ask Ada of my team.",
        "tests/test_mine.py": "def test_mine()",
        "Makefile": "## A target of mine",
    }


def release(upstream: Path, number: str = "0.3.0") -> str:
    """Make a next release of the template, which changes files of every kind; return its commit."""
    project, package = upstream / PROJECT, upstream / PROJECT / PACKAGE
    for path in (package / "toolkit" / "training" / "model_card.py", package / "model" / "data.py"):
        path.write_text(path.read_text() + "\n# from the template\n")
    (package / "toolkit" / "VERSION").write_text(f"{number}\n")
    replace(project / "Makefile", "## Stop the deployed service", "## Stop the whole service")
    replace(project / "setup.py", '    "ruff>=0.8",\n', '    "ruff>=0.9",\n')
    with (project / "README.md").open("a") as file:
        file.write("\n## From the template\n")
    for lock in (project / "requirements").glob("*.lock"):
        lock.write_text("# other pins\n" + lock.read_text())
    changelog = upstream / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("\n## ", f"\n## {number}\n\n- Predict the future.\n\n## ", 1))
    return commit(upstream, number)


def kept(project: Path, edits: dict[str, str]) -> None:
    """Check that every edit is still there, and nothing of a conflict."""
    for path, line in edits.items():
        assert line in (project / path).read_text(), path
    assert git(project, "diff", "--name-only", "--diff-filter=U") == ""
    assert not list(project.rglob("*.rej"))


@pytest.mark.slow
def test_update_brings_the_template_s_changes_and_leaves_the_owner_s(
    upstream: Path, project: Path, update: Update, made: Callable[[], list[str]]
) -> None:
    edits = edit_as_owners_do(project)
    replace(project / "setup.py", '    # "lightgbm>=4",\n', '    "joblib>=1.4",\n')
    (project / "own.mk").write_text("fetch:  ## Fetch the rows\n\techo rows\n")
    (project / "requirements" / "dev.lock").write_text("my pins\n")
    first = commit(project)
    newest = release(upstream)
    said = update(project).stdout

    kept(project, edits | {"setup.py": '"joblib>=1.4"', "own.mk": "fetch:", "requirements/dev.lock": "my pins"})
    changes = git(project, "diff", "HEAD", "--name-only").split()
    package = f"{NAME}/toolkit"
    assert changes == [".cruft.json", "Makefile", "README.md", "setup.py"] + [
        f"{package}/{name}" for name in ("MANIFEST", "VERSION", "training/model_card.py")
    ]
    assert "whole service" in (project / "Makefile").read_text()
    assert '"ruff>=0.9"' in (project / "setup.py").read_text()
    record = json.loads((project / ".cruft.json").read_text())
    assert (record["commit"], record["template"]) == (newest, str(upstream))
    assert git(project, "rev-parse", "HEAD") == first, "nothing is committed"
    assert made() == ["lock", "test"]
    assert re.findall("^##.*$|^- .*$", said, re.MULTILINE) == ["## 0.3.0", "- Predict the future."]
    assert "toolkit 0.3.0" in said
    assert warned(project) == "", "the manifest is the new one"

    commit(project)
    assert "up to date" in update(project).stdout
    assert made() == []


@pytest.mark.slow
def test_update_from_the_previous_release_finds_no_conflict(
    upstream: Path, update: Update, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = subprocess.run(["git", "cat-file", "-e", f"{PREVIOUS_COMMIT}^0"], cwd=ROOT, capture_output=True)
    if here.returncode:
        pytest.skip(f"this copy of the template has no history back to {PREVIOUS}")
    history = tmp_path / "history"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(history))
    git(history, "checkout", "--quiet", "--detach", PREVIOUS_COMMIT)
    project = Path(cookiecutter(str(history), no_input=True, output_dir=str(tmp_path)))
    edits = edit_as_owners_do(project)
    replace(project / "setup.py", '    "uvloop>=0.20",\n', '    "uvloop>=0.20",\n    "joblib>=1.4",\n')
    for path in history.iterdir():
        if path.name != ".git":
            (shutil.rmtree if path.is_dir() else Path.unlink)(path)
    shutil.copytree(ROOT, history, ignore=shutil.ignore_patterns(*LEFTOVERS), dirs_exist_ok=True)
    commit(history)

    # As the changelog says.
    record = json.loads((project / ".cruft.json").read_text())
    record["skip"].append("requirements/*.lock")
    (project / ".cruft.json").write_text(json.dumps(record, indent=2))
    commit(project)
    command = [sys.executable, "-m", "cruft", "update", "--skip-apply-ask"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

    kept(project, edits | {"setup.py": '"joblib>=1.4"'})
    fresh = Path(cookiecutter(str(history), no_input=True, output_dir=str(tmp_path / "fresh")))
    toolkit = fresh / NAME / "toolkit"
    assert {path.relative_to(toolkit) for path in toolkit.rglob("*")} == {
        path.relative_to(project / NAME / "toolkit") for path in (project / NAME / "toolkit").rglob("*")
    }
    assert warned(project) == ""
    commit(project)
    assert "up to date" in update(project).stdout


@pytest.mark.slow
def test_conflicts_are_named_with_the_next_step_and_can_be_undone(
    upstream: Path, project: Path, update: Update, made: Callable[[], list[str]]
) -> None:
    package = project / NAME
    replace(project / "Makefile", "## Stop the deployed service", "## Stop it")
    (package / "toolkit" / "batch" / "formats.py").write_text("# rewritten here\n")
    (project / ".gitignore").write_text((project / ".gitignore").read_text() + "*.rej\n")
    first = commit(project)
    (upstream / PROJECT / PACKAGE / "toolkit" / "batch" / "formats.py").unlink()
    release(upstream)
    said = update(project, ok=False).stderr
    assert re.search("^  Makefile.*: ", said, re.MULTILINE)
    assert re.search(f"^  {NAME}/toolkit/batch/formats.py.*: ", said, re.MULTILINE)
    assert "make lock && make test" in said
    assert made() == []
    assert (package / "toolkit" / "batch" / "formats.py").read_text() == "# rewritten here\n"
    [undo] = re.findall("^To undo the update: (.*)$", said, re.MULTILINE)
    subprocess.run(["sh", "-c", undo], cwd=project, check=True, capture_output=True)
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "rev-parse", "HEAD") == first


@pytest.mark.slow
def test_lock_or_test_that_fails_is_said_with_the_next_step(
    upstream: Path, project: Path, update: Update, made: Callable[[], list[str]]
) -> None:
    release(upstream)
    said = update(project, ok=False, MAKE_FAILS="2").stderr
    assert "the locks could not be renewed" in said
    assert "make lock && make test" in said
    assert made() == ["lock"]


def test_update_needs_everything_committed(project: Path, update: Update) -> None:
    (project / "notes.txt").write_text("mine\n")
    replace(project / "README.md", "# Titanic survival\n", "# Mine\n")
    said = update(project, ok=False).stderr
    assert re.search("Commit these files first.*\n   M README.md\n  \\?\\? notes.txt", said)
    assert (project / "notes.txt").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"template": "/nowhere"},
            "The template /nowhere cannot be fetched: fatal: repository '/nowhere' does not exist",
        ),
        ({"template": "http://127.0.0.1:9/template.git"}, "cannot be fetched: fatal: unable to access"),
        ({"commit": "0" * 40}, f"has no commit {'0' * 40}"),
        ({"commit": None}, "which has no git history"),
        (None, "does not name the template"),
    ],
    ids=["moved", "away", "unknown commit", "no commit", "no record"],
)
def test_update_that_cannot_begin_is_said_in_a_sentence(
    project: Path, update: Update, record: dict[str, str] | None, said: str
) -> None:
    path = project / ".cruft.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | record) if record else "{}")
    first = commit(project)
    assert said in update(project, ok=False).stderr
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "rev-parse", "HEAD") == first


def warned(project: Path) -> str:
    """Return what lint says of edits in the toolkit."""
    command = [sys.executable, "-m", NAME, "edits"]
    done = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_edits_in_the_toolkit_are_named_and_fail_nothing(bake: Bake) -> None:
    project = bake()
    toolkit = project / NAME / "toolkit"
    assert warned(project) == ""
    (toolkit / "batch" / "formats.py").write_text("# mine\n")
    (toolkit / "serving" / "mine.py").touch()
    (toolkit / "training" / "model_card.py").unlink()
    said = warned(project)
    assert re.findall("^  (.*)$", said, re.MULTILINE) == [
        f"{NAME}/toolkit/batch/formats.py",
        f"{NAME}/toolkit/serving/mine.py",
    ]
    assert f"{NAME}/model/endpoints.py" in said
    assert (toolkit / "VERSION").read_text().strip() in said


def test_version_of_the_toolkit_is_the_newest_release() -> None:
    number = (ROOT / PROJECT / PACKAGE / "toolkit" / "VERSION").read_text().strip()
    releases = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert releases[:2] == [number, PREVIOUS]
