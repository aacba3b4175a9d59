"""Tuning as an owner does it: the winner's parameters are in a file, and the next version has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Project

pytestmark = pytest.mark.slow


def test_make_tune_trains_with_the_parameters_that_it_keeps(project: Project, tmp_path: Path) -> None:
    copy = project.copy(tmp_path / "titanic-survival")
    pipeline = copy.path / copy.package / "model/pipeline.py"
    # Any trial is better than one tree with two leaves.
    text = pipeline.read_text().replace("max_iter=150", "max_iter=1").replace("max_leaf_nodes=8", "max_leaf_nodes=2")
    pipeline.write_text(text)
    assert "Kept in model/parameters.json" in copy.make("tune", TRIALS="2", OMP_NUM_THREADS="1")
    kept = json.loads((copy.path / copy.package / "model/parameters.json").read_text())
    assert kept["trials"] == 2
    registry = copy.registry()
    assert registry["aliases"]["challenger"] == 1
    assert f"learning_rate={kept['parameters']['learning_rate']:.4g}" in registry["versions"]["1"]["text"]
