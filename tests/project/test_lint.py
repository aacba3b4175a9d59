"""`make lint` takes what people write into `model/`: the example, that of the documentation, code without types."""

import re
from pathlib import Path

import pytest

from .conftest import Project

pytestmark = pytest.mark.slow

#: As a data scientist may write it: no docstrings, no types, a library that has none either.
PLAIN = """import huey

from .schema import Row

CACHE = {}


class helper:
    def __init__(self, a, b=None):
        self.a = a
        self.seen = {}

    def Value(self, X):
        x = 1
        x = "a"
        self.seen[x] = X
        self.more = helper(1)
        self.more.other = 2
        return self.nothing


async def other(rows: list[Row], predict=None):
    CACHE[huey.__name__] = found = []
    for P in await predict(rows):
        found.append(P)
    mine = helper(found)
    return mine.Value(found)
"""


@pytest.fixture
def copy(project: Project, tmp_path: Path) -> Project:
    """Return a copy of the project, to edit."""
    return project.copy(tmp_path / "titanic-survival")


def test_examples_of_an_endpoint_pass(copy: Project) -> None:
    endpoints = copy.path / copy.package / "model" / "endpoints.py"
    before, docstring, example = re.split(r'(""".*?"""\n\n)', endpoints.read_text(), maxsplit=1, flags=re.DOTALL)
    code = re.sub(r"^# ?", "", example, flags=re.MULTILINE)
    assert "\nasync def labels(" in code
    endpoints.write_text(before + docstring + code)
    assert "Success: no issues found" in copy.make("lint")
    assert " passed" in copy.make("test", "ARGS=-k 'labels'")

    page = (copy.path / "docs" / "serving.md").read_text().partition("## An endpoint of your own")[2]
    [shown] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    endpoints.write_text(shown)
    assert "Success: no issues found" in copy.make("lint")


def test_code_of_the_model_needs_neither_docstrings_nor_types(copy: Project) -> None:
    endpoints = copy.path / copy.package / "model" / "endpoints.py"
    endpoints.write_text(PLAIN)
    assert "Success: no issues found" in copy.make("lint")
    # Types that are written are checked.
    endpoints.write_text(PLAIN + '\n\ndef count(rows: list[Row]) -> int:\n    return "many"\n')
    assert "Incompatible return value type" in copy.make("lint", ok=False)
