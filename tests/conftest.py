"""Fixtures: the template as its users get it, and projects baked from it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "{{cookiecutter.project_slug}}"
PACKAGE = "{{cookiecutter.package_name}}"

#: What a working copy has and a clone has not.
LEFTOVERS = (".git", ".venv", "build", "__pycache__", ".*_cache", "*.egg-info", ".cache")

Bake = Callable[..., Path]
Cookiecutter = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow tests last, so that a plain mistake shows within seconds."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session", autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the developer's own settings of cookiecutter and git out of the tests, and the tests out of theirs."""
    home = tmp_path_factory.mktemp("cookiecutter")
    config = home / "config.yaml"
    config.write_text(f"cookiecutters_dir: '{home}/templates'\nreplay_dir: '{home}/replay'\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COOKIECUTTER_CONFIG", str(config))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        # Set where the tests run as a git hook; they point at the repository of the commit.
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a git checkout of the template as it stands now, all of it committed."""
    folder = tmp_path_factory.mktemp("template") / "cookiecutter-model-service"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFTOVERS), symlinks=True)
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


@pytest.fixture
def bake(template: Path, tmp_path: Path) -> Bake:
    """Return a function that bakes a project from answers into `tmp_path` and returns its folder."""

    def run(**answers: str) -> Path:
        return Path(cookiecutter(str(template), no_input=True, extra_context=answers, output_dir=str(tmp_path)))

    return run


@pytest.fixture
def upstream(template: Path, tmp_path: Path) -> Path:
    """Return a clone of the template that a test may change; cookiecutter knows git by the name."""
    folder = tmp_path / "templates.git" / "model-service"
    git(tmp_path, "clone", "--quiet", str(template), str(folder))
    return folder


@pytest.fixture
def command(tmp_path: Path) -> Cookiecutter:
    """Return a function that runs the `cookiecutter` command in `tmp_path`; `typed` are the answers at the prompts."""

    def run(*arguments: str | Path, typed: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cookiecutter", *(() if typed else ("--no-input",)), *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PWD": str(tmp_path)},
            input="\n".join(typed or []) + "\n",
            capture_output=True,
            text=True,
        )

    return run


def git(folder: Path, *words: str) -> str:
    """Return what git says in a folder."""
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, message: str = "All") -> str:
    """Commit everything in a folder and return the commit."""
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Tester", "-c", "user.email=tester@example.com", "commit", "--quiet", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def files(folder: Path) -> set[str]:
    """Return the files under a folder, relative to it, without git's own."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if ".git" not in path.parts}


def locked(project: Path) -> set[str]:
    """Return the names of a project's locked distributions, with "_" for "-" and "."."""
    names = re.findall("^([^ =#]+)==", (project / "requirements" / "dev.lock").read_text(), re.MULTILINE)
    return {re.sub("[-.]", "_", name.lower()) for name in names}
