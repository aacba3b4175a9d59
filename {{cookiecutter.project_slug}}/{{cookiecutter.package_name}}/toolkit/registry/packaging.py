"""A version as a self-contained MLflow model, with the signature that follows from its contract."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Object, Property, Schema

from ..contract.schema import Contract, FieldSpec
from ..version.artifact import Artifact, digest
from . import dependencies
from .errors import quiet

#: In the folder of the package: what MLflow runs, and what it loads a version by. The latter and the modules that it
#: imports travel with the version.
PYFUNC, LOADER = "toolkit/registry/pyfunc.py", "toolkit/version/frame_scorer.py"
#: What a pickled model needs, whatever it is.
PICKLE_LIBRARIES = {"cloudpickle", "sklearn"}


def register(version: Artifact, model_name: str, pipeline: ModuleType, features: ModuleType | None = None) -> int:
    """Log a version as a self-contained MLflow model, register it, and return its number.

    `pipeline` is the module that built the model, and `features` the one that makes its columns; what they import, the
    pickled model and function need.
    """
    with tempfile.TemporaryDirectory() as scratch, quiet():
        model = mlflow_model(version, pipeline, Path(scratch), features)
        info = mlflow.pyfunc.log_model(name="model", registered_model_name=model_name, **model)
    return int(info.registered_model_version)


def mlflow_model(
    version: Artifact, pipeline: ModuleType, scratch: Path, features: ModuleType | None = None
) -> dict[str, Any]:
    """Return a version in the parameters that MLflow saves a model by; the code in `scratch` is needed until then."""
    code = copy_code(scratch)
    return {
        "python_model": str(dependencies.PACKAGE / PYFUNC),
        "code_paths": [str(code)],
        "artifacts": {"version": str(version.folder)},
        "model_config": {"toolkit": code.name},
        "signature": signature(version.contract),
        "input_example": example_frame(version),
        "pip_requirements": requirements(version, pipeline, features),
    }


def copy_code(folder: Path) -> Path:
    """Copy the modules that load a version to a package in `folder`, and return its path.

    The package has the name of its digest: in one process, versions with the same code share it, and versions with
    different code do not meet.
    """
    copied, toolkit = folder / "toolkit", dependencies.PACKAGE / "toolkit"
    for path in dependencies.modules(dependencies.PACKAGE / LOADER):
        if path.is_relative_to(toolkit):
            target = copied / path.relative_to(toolkit)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return copied.rename(folder / f"toolkit_{digest(copied)[:16]}")


def requirements(version: Artifact, pipeline: ModuleType, features: ModuleType | None = None) -> list[str]:
    """Return what an environment needs to load a version, pinned to what is installed here."""
    loading = dependencies.modules(dependencies.PACKAGE / LOADER)
    names = dependencies.libraries({dependencies.PACKAGE / PYFUNC, *loading})
    if not version.has_onnx:
        names -= {"onnxruntime"}
        names |= PICKLE_LIBRARIES | _libraries(pipeline)
    if version.has_features and features:
        names |= {"cloudpickle"} | _libraries(features)
    return dependencies.requirements(names)


def _libraries(module: ModuleType) -> set[str]:
    return dependencies.libraries(dependencies.modules(Path(str(module.__file__))))


def signature(contract: Contract) -> ModelSignature:
    """Return the MLflow signature of a contract; numbers are double there, since MLflow refuses to narrow."""
    return ModelSignature(
        inputs=Schema([_spec(field) for field in contract.row]),
        outputs=Schema([_spec(field) for field in contract.prediction]),
    )


def _spec(field: FieldSpec) -> ColSpec:
    return ColSpec(_type(field), field.name, required=field.required)


def _type(field: FieldSpec) -> Any:
    if field.kind == "map":
        return Object([Property(name, DataType.double) for name in field.names])
    if field.length is not None:
        vector = Array(DataType.double)
        return Array(vector) if field.shape else vector
    if field.is_time:
        # As text or as native values; MLflow's own type for times takes no text.
        return AnyType()
    if field.is_text and not field.whole:
        return DataType.string
    # Whole numbers and bools that may be missing are double too: only that type has a missing value.
    if field.nullable or field.kind == "float":
        return DataType.double
    return DataType.boolean if field.kind == "bool" else DataType.long


def example_frame(version: Artifact) -> pd.DataFrame:
    """Return the example rows as a caller of `mlflow.pyfunc` would give them."""
    frame = pd.DataFrame(version.example.rows)
    for field in version.contract.row:
        if _spec(field).type == DataType.double:
            frame[field.name] = frame[field.name].astype("float64")
    return frame
