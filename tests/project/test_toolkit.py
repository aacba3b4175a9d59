"""The tests of the toolkit, room by room, in a generated project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from run_toolkit import TOOLKIT, command, environment

from .conftest import Project

pytestmark = pytest.mark.slow

#: Files that stand by themselves: one that measures times of less than a second, and one that takes two minutes.
ALONE, LONG = "registry/test_permissions.py", "release/kubernetes/test_target.py"


def rooms() -> Iterator[object]:
    """Return the files of tests in parts: each folder, without those in its folders and those that stand alone."""
    parts: dict[str, list[str]] = {}
    for path in sorted(TOOLKIT.rglob("test_*.py")):
        file = str(path.relative_to(TOOLKIT))
        parts.setdefault(file if file in (ALONE, LONG) else str(Path(file).parent), []).append(file)
    for name, files in parts.items():
        yield pytest.param(files, marks=[pytest.mark.alone] if name == ALONE else [], id=name.removesuffix(".py"))


@pytest.mark.parametrize("files", list(rooms()))
def test_toolkit(project: Project, files: list[str]) -> None:
    output = project.run(*command(project.path, *files), **environment(project.path))
    print(output)
    assert " passed" in output
