"""Fixtures: the template as its users get it, and projects baked from it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from cookiecutter.main import cookiecutter
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "{{cookiecutter.project_slug}}"
PACKAGE = "{{cookiecutter.package_name}}"

#: What a working copy has and a clone has not.
LEFTOVERS = (".git", ".venv", "build", "node_modules", "__pycache__", ".*_cache", "*.egg-info", ".cache")

Bake = Callable[..., Path]
Cookiecutter = Callable[..., "subprocess.CompletedProcess[str]"]


#: The tests of the toolkit and of libraries run in a generated project; the problems are its models.
collect_ignore = ["toolkit", "problems", "libraries"]

#: The longest of the slow files, which start first.
LONGEST = (
    "test_targets",
    "test_image",
    "test_workflows",
    "test_handover",
    "test_docs",
    "test_auth",
    "test_protocols",
    "test_docker",
    "test_schema",
)
#: Files whose tests may run on different workers. Those of others share servers or build on one another.
#: They come last, and fill up the workers: none is left with a long file at the end.
INDEPENDENT = ("test_toolkit", "test_problems", "test_unusual", "test_mistakes")
#: This one waits for the others.
LAST = "test_makefile"


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Gives the tests of a file to one worker, in order, unless they are independent."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if Path(file).stem in INDEPENDENT else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    """Return what distributes the tests to the workers."""
    return Scheduler(config, log)


def pytest_xdist_auto_num_workers() -> int:
    """Return one worker more than there are cores, four at most: a third of the time, tests wait for processes."""
    return min(4, (os.cpu_count() or 1) + 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow tests last, so that a plain mistake shows within seconds."""

    def order(item: pytest.Item) -> tuple[bool, bool, int, bool]:
        name = item.path.stem
        place = LONGEST.index(name) if name in LONGEST else len(LONGEST)
        if name in INDEPENDENT:
            place += 1 + INDEPENDENT.index(name)
        # One that must be alone waits for the other worker, so it does not come when that has a long one.
        later = name in INDEPENDENT and item.get_closest_marker("alone") is None
        return item.get_closest_marker("slow") is not None, name == LAST, place, later

    items.sort(key=order)


def shared_folder(config: pytest.Config) -> Path | None:
    """Return the folder that all workers of this run share, None if there is one process only."""
    return Path(config.getoption("basetemp")).parent if "PYTEST_XDIST_WORKER" in os.environ else None


@contextmanager
def file_lock(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock that other processes respect, exclusively or with others (`LOCK_SH`)."""
    with path.open("w") as file:
        fcntl.flock(file, kind)
        yield


#: The lock that the tests which run hold together, and one that is alone by itself.
TESTS = pytest.StashKey[IO[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Have a test that is marked `alone` wait until the other workers' tests have ended, and theirs until it has."""
    folder = shared_folder(item.config)
    if folder is None:
        return (yield)
    with (folder / "tests.lock").open("w") as tests:
        item.stash[TESTS] = tests
        _take_turn(folder, tests, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        return (yield)


def _take_turn(folder: Path, tests: IO[str], kind: int) -> None:
    # Whoever waits to be alone keeps the turn, so that no further test starts meanwhile.
    with file_lock(folder / "turn.lock"):
        fcntl.flock(tests, kind)


@pytest.fixture
def alone(request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[None]]:
    """Return a context manager for a part of a test: it is alone there as one that is marked is from begin to end."""
    folder = shared_folder(request.config)

    @contextmanager
    def alone() -> Iterator[None]:
        if folder is None:
            yield
            return
        tests = request.node.stash[TESTS]
        # Two tests that came to such a part would wait for each other.
        fcntl.flock(tests, fcntl.LOCK_UN)
        _take_turn(folder, tests, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(tests, fcntl.LOCK_SH)

    return alone


@pytest.fixture(scope="session")
def run_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of this run share."""
    return shared_folder(request.config) or tmp_path_factory.getbasetemp()


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
    locks = [project / "requirements/dev.lock", *project.glob("requirements/extras/*.lock")]
    names = re.findall("^([^ =#]+)==", "".join(lock.read_text() for lock in locks), re.MULTILINE)
    return {re.sub("[-.]", "_", name.lower()) for name in names}
