"""The libraries whose names the pre-generation hook refuses are those of a generated project's environment."""

import re
import sys

import pytest
from conftest import locked
from pre_gen_project import LIBRARIES

from .conftest import Project

pytestmark = pytest.mark.slow


def test_importable_libraries_are_rejected_as_package_names(project: Project) -> None:
    names = "import importlib.metadata, json; print(json.dumps(list(importlib.metadata.packages_distributions())))"
    imported = {name for name in project.python(names) if re.fullmatch("[a-z][a-z0-9_]*", name)}
    imported -= sys.stdlib_module_names | {project.package}
    assert imported - LIBRARIES == set(), "missing in LIBRARIES of hooks/pre_gen_project.py"
    # Environments made by uv come without pip.
    assert LIBRARIES - imported - locked(project.path) <= {"pip"}, "in LIBRARIES, but not in the environment any more"
