"""The tests of a generated project pass for models that are unlike the sample: they test the model that is there."""

import re
import shutil
import time
from pathlib import Path

import pytest

from .conftest import Project

pytestmark = pytest.mark.slow

UNUSUAL = Path(__file__).parents[1] / "unusual"
#: Two trainings are half of it; 300 fields took 14 minutes once.
MOST_SECONDS = 240


@pytest.mark.parametrize("problem", sorted(path.name for path in UNUSUAL.iterdir()))
def test_owners_tests_pass(project: Project, tmp_path: Path, problem: str) -> None:
    copy = project.copy(tmp_path / problem)
    for file in (UNUSUAL / problem).glob("*.py"):
        shutil.copy(file, copy.path / copy.package / "model")
    start = time.monotonic()
    printed = copy.make("test")
    assert re.search(r"\b\d+ passed", printed)
    assert time.monotonic() - start < MOST_SECONDS
