"""A version as a self-contained MLflow model, with the signature that follows from its contract."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Schema

from ..contract.schema import Contract, FieldSpec
from ..version import artifact
from .errors import quiet


def register(version: artifact.Artifact, model_name: str, requirements: list[str]) -> int:
    """Log a version as a self-contained MLflow model, register it, and return its number."""
    package = __package__.split(".")[0]
    with tempfile.TemporaryDirectory() as scratch, quiet():
        code = Path(scratch) / package
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(__file__).parents[1], code / "toolkit", ignore=ignore)
        shutil.copy(Path(__file__).parents[2] / "__init__.py", code)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            code_paths=[str(code)],
            artifacts={"version": str(version.folder)},
            model_config={"package": package},
            signature=signature(version.contract),
            input_example=_example(version),
            pip_requirements=requirements,
            registered_model_name=model_name,
        )
    return int(info.registered_model_version)


def signature(contract: Contract) -> ModelSignature:
    """Return the MLflow signature of a contract; numbers are double there, since MLflow refuses to narrow."""
    return ModelSignature(
        inputs=Schema([_spec(column) for column in contract.row]),
        outputs=Schema([_spec(column) for column in contract.prediction]),
    )


def _spec(column: FieldSpec) -> ColSpec:
    # Whole numbers and truth values that may be missing are double too: only that type has a missing value.
    kind = "float" if column.nullable and column.kind != "category" else column.kind
    types = {"float": DataType.double, "int": DataType.long, "bool": DataType.boolean, "category": DataType.string}
    mlflow_type = Array(DataType.double) if kind == "vector" else types[kind]
    return ColSpec(mlflow_type, column.name, required=column.required)


def _example(version: artifact.Artifact) -> pd.DataFrame:
    """Return the example rows as a caller of `mlflow.pyfunc` would give them."""
    frame = pd.DataFrame(version.example.rows)
    for column in version.contract.row:
        if _spec(column).type == DataType.double:
            frame[column.name] = frame[column.name].astype("float64")
    return frame
