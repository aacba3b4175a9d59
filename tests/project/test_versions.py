"""Versions in environments other than the project's: made from their own requirements, or for the service alone."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project, call, free_port, running

pytestmark = pytest.mark.slow

#: Loads a model as anybody would, has it predict its example, and prints what it predicted.
LOAD = """
import json, sys
from pathlib import Path
import mlflow
import pandas as pd
folder = Path(sys.argv[1])
model = mlflow.pyfunc.load_model(str(folder))
rows = json.loads((folder / "artifacts/version/example.json").read_text())["rows"]
doubles = [field.name for field in model.metadata.signature.inputs if str(field.type) == "DataType.double"]
print(json.dumps(model.predict(pd.DataFrame(rows).astype(dict.fromkeys(doubles, "float64"))).to_dict("records")))
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def environment(project: Project, folder: Path, *install: str) -> Path:
    """Make a virtual environment and return its Python."""
    uv, python = str(project.path / ".venv/bin/uv"), folder / "bin/python"
    project.run(uv, "venv", "--quiet", "--python", str(project.path / ".venv/bin/python"), str(folder))
    project.run(uv, "pip", "install", "--quiet", "--python", str(python), *install)
    return python


def downloaded(project: Project, folder: Path) -> Path:
    """Return a copy of version 1 as MLflow registered it."""
    project.python(
        f"""
import json, mlflow
from {project.package} import config
settings = config.settings()
mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
path = mlflow.artifacts.download_artifacts(f"models:/{{settings.model_name}}/1", dst_path={str(folder)!r})
print(json.dumps(path))
"""
    )
    return folder


def predictions(model: Path) -> Any:
    """Return the predictions that a version recorded at training."""
    return json.loads((model / "artifacts/version/example.json").read_text())["predictions"]


@pytest.mark.parametrize("runtime", ["onnx", "python"])
def test_version_loads_with_nothing_but_its_own_requirements(trained: Project, tmp_path: Path, runtime: str) -> None:
    project = trained
    if runtime == "python":
        project = trained.variant(tmp_path / "project", "plain_python")
        project.make("train")
    model = downloaded(project, tmp_path / "model")
    assert json.loads((model / "artifacts/version/details.json").read_text())["runtime"] == runtime
    python = environment(trained, tmp_path / "environment", "--requirements", str(model / "requirements.txt"))
    # MLflow prints to the same place; the modules come last.
    printed = trained.run(str(python), "-W", "ignore", "-c", LOAD, str(model), cwd=tmp_path, PYTHONPATH="")
    found, modules = [json.loads(line) for line in printed.splitlines() if line.startswith("[")][-2:]
    assert found == predictions(model)
    assert not [name for name in modules if name.split(".")[0] == project.package]


def test_service_runs_in_the_environment_of_serve_lock(trained: Project, tmp_path: Path) -> None:
    lock = str(trained.path / "requirements/serve.lock")
    python = environment(trained, tmp_path / "environment", "--require-hashes", "--requirements", lock)
    store, empty = tmp_path / "store", tmp_path / "empty"
    trained.make("sync", "ARGS=--once", STORE=str(store))
    env = {"PYTHONPATH": str(trained.path)}
    example = json.loads((store / "versions/1/example.json").read_text())
    command = [str(python), "-m", trained.package, "serve"]
    url = f"http://127.0.0.1:{(port := free_port())}"
    served = trained.env | env | {"PORT": str(port), "STORE": str(store)}
    with running(command, f"{url}/readyz", tmp_path, served):
        status, answer = call(f"{url}/predict", example["rows"])
    assert status == 200
    names = example["predictions"][0]
    assert [{name: row[name] for name in names} for row in answer] == example["predictions"]
    [log] = tmp_path.glob("python-*.log")
    [line] = [line for line in log.read_text().splitlines() if "mlflow" in line]
    assert "needs mlflow, which is not installed" in line
    assert str(store) in line
    for words in (("sync", "--once"), ("deploy",), ("train",), ("history",), ("serve",)):
        said = trained.run(*command[:3], *words, ok=False, cwd=tmp_path, STORE=str(empty), **env)
        [line] = said.splitlines()
        assert re.search(r"needs \w+, which is not installed: make setup installs it", line), words
