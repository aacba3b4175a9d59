"""Explanations of the sample model, beside those of the library `shap`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Project

pytestmark = pytest.mark.slow

#: What is explained, once by the version itself and once by shap's own enumeration, over the same background.
BOTH = """
import json
import numpy as np, shap
from {package} import config
from {package}.toolkit.contract.columns import from_rows
from {package}.toolkit.release.reconcile import pull_release
from {package}.toolkit.release.store import Store
settings = config.settings()
store = Store(settings.store)
version = store.load(pull_release(settings.mlflow_tracking_uri, settings.model_name, store).champion)
columns = from_rows(version.example.rows, version.contract)
explainer, names = version.explainer, list(version.contract.by_name)
ours = explainer.explain(columns, version.runtime.score)

# shap mixes matrices of numbers: words are their positions among all words.
words = {{name: np.unique(np.concatenate([columns[name], explainer.background[name]]))
          for name in names if columns[name].dtype == object}}
def matrix(columns):
    return np.stack([np.searchsorted(words[n], columns[n]) if n in words else columns[n] for n in names], axis=1)
def probability(mixed):
    mixed = dict(zip(names, np.asarray(mixed, np.float32).T))
    return version.runtime.score({{
        n: words[n][array.astype(int)] if n in words else array for n, array in mixed.items()
    }})["probability"].astype(float)
masker = shap.maskers.Independent(matrix(explainer.background), max_samples=1000)
theirs = shap.explainers.Exact(probability, masker)(matrix(columns))
print(json.dumps({{
    "fields": len(names),
    "background": len(masker.data),
    "contributions": float(np.abs(ours.contributions - theirs.values).max()),
    "base": float(np.abs(ours.base - theirs.base_values).max()),
    "largest": float(np.abs(ours.contributions).max()),
}}))
"""


@pytest.fixture(scope="module")
def shap(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with shap and what it needs, to be put before the project's environment, which stays as it is."""
    folder = tmp_path_factory.mktemp("shap")
    python, lock = str(project.path / ".venv/bin/python"), str(project.path / "requirements/dev.lock")
    uv = str(project.path / ".venv/bin/uv")
    project.run(uv, "pip", "install", "--python", python, "--target", str(folder), "--constraint", lock, "shap>=0.46")
    return folder


def test_attributions_equal_those_of_shap(trained: Project, shap: Path, tmp_path: Path) -> None:
    found = trained.python(BOTH.format(package=trained.package), PYTHONPATH=str(shap), STORE=str(tmp_path / "store"))
    assert (found["fields"], found["background"]) == (7, 50)
    assert found["largest"] > 0.1
    assert found["contributions"] < 1e-3
    assert found["base"] < 1e-3
