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
    """Return the folders of tests; one that has folders of its own is its files, and each of those."""
    for folder in sorted({path.parent for path in TOOLKIT.rglob("test_*.py")}):
        name = str(folder.relative_to(TOOLKIT))
        divided = any(folder != path.parent for path in folder.rglob("test_*.py"))
        places = [str(path.relative_to(TOOLKIT)) for path in sorted(folder.glob("test_*.py"))] if divided else [name]
        yield pytest.param(places, marks=[pytest.mark.alone] if name in MEASURING else [], id=name)


@pytest.mark.parametrize("places", list(rooms()))
def test_toolkit(project: Project, places: list[str]) -> None:
    output = project.run(*command(project.path, *places), **environment(project.path))
    print(output)
    assert " passed" in output
