"""The tests of the toolkit, room by room, in a generated project."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from run_toolkit import TOOLKIT, command, environment

from .conftest import Project

pytestmark = pytest.mark.slow

#: These measure times of less than a second.
MEASURING = {"contract", "registry"}


def rooms() -> Iterator[object]:
    for room in sorted({path.relative_to(TOOLKIT).parts[0] for path in TOOLKIT.rglob("test_*.py")}):
        yield pytest.param(room, marks=[pytest.mark.alone] if room in MEASURING else [])


@pytest.mark.parametrize("room", list(rooms()))
def test_toolkit(project: Project, room: str) -> None:
    output = project.run(*command(project.path, room), **environment(project.path))
    print(output)
    assert " passed" in output
