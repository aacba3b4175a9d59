"""Run tests of `tests/toolkit`, which need a generated project and its environment.

`make test-toolkit ARGS="serving -x"` uses a project in `build/toolkit`: it is generated anew each time, and its
environment is kept. `tests/project/test_toolkit.py` runs all rooms in the project that the tests there share.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parents[1]
TOOLKIT = ROOT / "tests" / "toolkit"
FOLDER = ROOT / "build" / "toolkit"
PROJECT = FOLDER / "titanic-survival"
#: What make compares with the environment's age.
INPUTS = ("requirements/dev.lock", "setup.py")


def main(arguments: list[str]) -> int:
    """Generate the project, run the tests and return the exit code."""
    generate()
    subprocess.run(["make", "--quiet", "setup", extras(PROJECT)], cwd=PROJECT, check=True)
    return subprocess.run(command(PROJECT, *arguments), cwd=PROJECT, env=os.environ | environment(PROJECT)).returncode


def command(project: Path, *arguments: str) -> list[str]:
    """Return the command that runs tests in a project; rooms and files are named as they are in `tests/toolkit`."""
    pytest = [str(project / ".venv/bin/python"), "-m", "pytest", "-c", "pyproject.toml", "--rootdir", "."]
    places = [str(TOOLKIT / word) if names_a_place(arguments, word) else word for word in arguments]
    everything = [] if places != list(arguments) else [str(TOOLKIT)]
    return [*pytest, "--confcutdir", str(TOOLKIT), *everything, *places]


def names_a_place(arguments: tuple[str, ...], word: str) -> bool:
    """Whether an argument is a room, a file or a test in one, and not what is sought by `-k` or `-m`."""
    before = arguments[arguments.index(word) - 1] if arguments.index(word) else ""
    return before not in ("-k", "-m") and (TOOLKIT / word.partition("::")[0]).exists()


def environment(project: Path) -> dict[str, str]:
    """Return the variables that the tests need: the environment may have another project's package installed."""
    return {"PYTHONPATH": str(project), "TEMPLATE_PYTHON": sys.executable}


def extras(project: Path) -> str:
    """Return the variable that adds every optional library to the environment that `make setup` makes."""
    return "EXTRAS=" + " ".join(sorted(path.stem for path in project.glob("requirements/extras/*.in")))


def generate() -> None:
    """Generate the project from the template as it stands; an environment that is there stays."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
        fresh = Path(cookiecutter(str(ROOT), no_input=True, default_config=True, output_dir=scratch))
        if (PROJECT / ".venv").exists():
            for name in INPUTS:
                if filecmp.cmp(PROJECT / name, fresh / name, shallow=False):
                    shutil.copystat(PROJECT / name, fresh / name)
            (PROJECT / ".venv").rename(fresh / ".venv")
        shutil.rmtree(PROJECT, ignore_errors=True)
        fresh.rename(PROJECT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
