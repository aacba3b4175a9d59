"""A version as an MLflow model: it needs what its requirements say, brings its own code, and shares a process."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version as installed
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import pytest
from titanic_survival.model import pipeline
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry import dependencies, packaging
from titanic_survival.toolkit.version.artifact import Artifact

KEPT = Path(__file__).parents[1] / "version/formats"
ONNX, PYTHON = Artifact(KEPT / "1/onnx"), Artifact(KEPT / "2/python")
#: Loads models in the order of their folders, then has each of them predict its example, and prints the predictions.
LOAD = """
import json, sys
from pathlib import Path
import mlflow
import pandas as pd
models = [mlflow.pyfunc.load_model(path) for path in sys.argv[1:]]
found = {}
for path, model in zip(sys.argv[1:], models):
    rows = json.loads(next(Path(path).glob("artifacts/*/example.json")).read_text())["rows"]
    types = {field.name: "float64" for field in model.metadata.signature.inputs if str(field.type) == "DataType.double"}
    frame = pd.DataFrame(rows).astype(types)
    found[Path(path).name] = model.predict(frame).to_dict("records")
print(json.dumps(found))
"""


@pytest.fixture
def another(tmp_path: Path) -> Path:
    """Return a copy of the package with another name."""
    return Path(shutil.copytree(dependencies.PACKAGE, tmp_path / "another_project"))


def change(package: Path) -> None:
    """Change a line of a package's toolkit."""
    loader = package / packaging.LOADER
    old, new = "for field in fields})", 'for field in fields} | {"note": "another"})'
    assert old in loader.read_text()
    loader.write_text(loader.read_text().replace(old, new))


def copied(package: Path, folder: Path) -> Path:
    """Return the code that travels with a version of a package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dependencies, "PACKAGE", package)
        folder.mkdir()
        return packaging.copy_code(folder)


def pipeline_of(package: Path) -> ModuleType:
    """Return what stands for the module `pipeline` of a package."""
    module = ModuleType("pipeline")
    module.__file__ = str(package / "model/pipeline.py")
    return module


def saved(package: Path, version: Artifact, folder: Path) -> Path:
    """Return a version saved as an MLflow model by a package."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as scratch:
        patch.setattr(dependencies, "PACKAGE", package)
        patch.setattr(sys, "path", list(sys.path))  # MLflow adds the version's own code to it
        mlflow.pyfunc.save_model(folder, **packaging.mlflow_model(version, pipeline_of(package), Path(scratch)))
    return folder


def names(requirements: list[str]) -> set[str]:
    """Return the distributions of pinned requirements."""
    pinned = dict(line.split("==") for line in requirements)
    assert pinned == {name: installed(name) for name in pinned}
    return set(pinned)


def test_only_the_modules_that_loading_needs_travel(tmp_path: Path) -> None:
    code = packaging.copy_code(tmp_path)
    files = {path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file()}
    assert {name.split("/")[0] for name in files} == {"__init__.py", "common", "contract", "version"}
    assert {"version/formats.py", "version/frame_scorer.py", "contract/dataframes.py", "common/errors.py"} <= files
    assert not files & {"common/console.py", "contract/json_rows.py", "contract/derivation.py", "version/contents.py"}
    assert code.name.startswith("toolkit_")
    assert code.name.isidentifier()


def test_code_is_named_by_its_content_and_not_by_the_project(tmp_path: Path, another: Path) -> None:
    own = copied(dependencies.PACKAGE, tmp_path / "own")
    assert copied(another, tmp_path / "same").name == own.name
    change(another)
    assert copied(another, tmp_path / "changed").name != own.name


def test_version_in_onnx_requires_no_library_of_the_model() -> None:
    needed = names(packaging.requirements(ONNX, pipeline))
    assert needed == {"mlflow", "numpy", "onnxruntime", "orjson", "pandas", "pydantic"}


def test_version_in_python_requires_the_libraries_of_the_model(another: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (another / "model/pipeline.py").write_text("from .steps import Step\nimport os, scipy.stats\n")
    guarded = "try:\n    import absent\nexcept ImportError: ...\n"
    (another / "model/steps.py").write_text(f"def late():\n    import yaml\n\n{guarded}")
    (another / "model/data.py").write_text("import sqlalchemy\n")
    monkeypatch.setattr(dependencies, "PACKAGE", another)
    needed = names(packaging.requirements(PYTHON, pipeline_of(another)))
    shipped = {"mlflow", "numpy", "orjson", "pandas", "pydantic"}
    assert needed == shipped | {"cloudpickle", "scikit-learn", "scipy", "PyYAML"}


def test_library_of_no_distribution_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "colleagues.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"'colleagues' .*colleagues\.py.*model/"):
        dependencies.requirements({"colleagues"})


def test_local_part_of_a_version_is_not_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "version", lambda name: "2.1.0+cpu")
    assert dependencies.requirements({"numpy"}) == ["numpy==2.1.0"]


def test_versions_with_different_code_share_a_process(tmp_path: Path, another: Path) -> None:
    change(another)
    models = [saved(dependencies.PACKAGE, ONNX, tmp_path / "own"), saved(another, PYTHON, tmp_path / "another")]
    expected: dict[str, Any] = {
        "own": ONNX.example.predictions,
        "another": [prediction | {"note": "another"} for prediction in PYTHON.example.predictions],
    }
    for order in (models, models[::-1]):
        command = [sys.executable, "-W", "ignore", "-c", LOAD, *map(str, order)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == expected
