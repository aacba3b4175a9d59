"""Every target of the Makefile has a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Project, targets, wait_for

pytestmark = pytest.mark.slow


def test_every_target_was_called(project: Project, called: Path) -> None:
    def missing() -> set[str]:
        return targets(project) - {path.name for path in called.iterdir()}

    try:
        # Other workers may still run what was begun before.
        wait_for(lambda: not missing(), 300)
    except AssertionError:
        pytest.fail(f"no test in tests/project calls {sorted(missing())}")
