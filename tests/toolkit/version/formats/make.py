"""Make the version folders of the current format, which the tests keep.

Run it in a generated project, with its folder on PYTHONPATH. Folders of older formats stay as they are: the toolkit of
their time made them.

One folder is served by ONNX Runtime, one by Python. Their numbers are eighths, and their models compare and add, so the
predictions have the same bits on every processor. The Python model is built of the standard library, so that its pickle
loads in every version of Python.
"""

from __future__ import annotations

import operator
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pandas as pd
import titanic_survival.model as code
from pydantic import BaseModel, Field
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import take
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import samples
from titanic_survival.toolkit.training.dataset import LabelledRows
from titanic_survival.toolkit.training.export import onnx_export
from titanic_survival.toolkit.version import formats
from titanic_survival.toolkit.version.contents import Contents
from titanic_survival.toolkit.version.reference_profile import Profile
from titanic_survival.toolkit.version.runtime import OnnxRuntime, PythonRuntime


class Row(BaseModel):
    """A row with a field of every kind."""

    amount: float = Field(ge=0, le=20, description="how much")
    weight: float | None = None
    count: int = Field(default=3, ge=0, lt=9)
    fresh: bool | None = None
    colour: Literal["red", "green", "blue"]
    shape: Literal["round", "flat"] | None = None
    position: list[float] = Field(min_length=3, max_length=3)


class Level(BaseModel):
    """What the classifier predicts."""

    level: Literal["high", "low"]
    confidence: float = Field(ge=0, le=1)
    probabilities: list[float] = Field(min_length=2, max_length=2)


class Price(BaseModel):
    """What the regression predicts."""

    price: float


def table(rows: int = 400) -> pd.DataFrame:
    """Return labelled rows, the same ones each time."""
    i = np.arange(rows)
    columns: dict[str, Any] = {
        "amount": (i * 37 % 160) / 8,
        "weight": np.where(i % 7 == 0, np.nan, (i * 53 % 96) / 8),
        "count": i * 11 % 9,
        "fresh": np.where(i % 11 == 0, None, i % 3 == 0),
        "colour": np.array(["red", "green", "blue"], dtype=object)[i * 5 % 7 % 3],
        "shape": np.where(i % 13 == 0, None, np.array(["round", "flat"], dtype=object)[i % 2]),
        "position": [[(k * 3 % 16) / 8, (k * 5 % 16) / 8, (k * 7 % 16) / 8] for k in i.tolist()],
    }
    high = (columns["amount"] > 8) ^ (columns["colour"] == "red") ^ (np.array(columns["position"])[:, 1] > 1)
    return pd.DataFrame(columns | {"level": np.where(high, "high", "low"), "price": columns["amount"] * 2})


def classifier() -> Any:
    """Return a pipeline that can be exported to ONNX."""
    numbers = ["amount", "weight", "count", "fresh", "position_0", "position_1", "position_2"]
    return make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["colour", "shape"]),
            (SimpleImputer(strategy="constant", fill_value=-1), numbers),
        ),
        DecisionTreeClassifier(max_depth=6, random_state=0),
    )


def regression() -> Any:
    """Return a model in Python that needs no library of its own."""
    return SimpleNamespace(predict=operator.methodcaller("eval", "amount * 2 - position_0 + 0.5 * (colour == 'red')"))


def save(folder: Path, prediction: type[BaseModel], model: Any) -> None:
    """Make a version as training makes it, from little data and without a project."""
    contract, frame = derive(Row, prediction), table()
    columns, violations = dataframes.check_features(frame, contract)
    labels, _ = dataframes.check_label(frame, contract)
    assert not violations, violations[:3]
    label = dataframes.label_array(labels, contract.label)
    contract = contract.with_classes(label)
    if hasattr(model, "fit"):
        model.fit(dataframes.as_frame(columns, contract), label)
    training, holdout = take(columns, np.arange(300)), take(columns, np.arange(300, 400))
    export = onnx_export.export(model, contract, holdout)
    runtime = OnnxRuntime(export.model, contract) if export.model else PythonRuntime(model, contract)
    with tempfile.NamedTemporaryFile("w") as lock:
        Contents(
            contract=contract,
            model=model,
            onnx=export.model,
            example=samples.example(runtime, LabelledRows(frame, holdout, label[300:]), contract),
            background=take(training, np.arange(20)),
            profile=Profile.of(
                contract,
                training=training,
                holdout=holdout,
                predictions=runtime.score(holdout),
                label=label[300:],
            ),
            details={"project": "Formats", "runtime": runtime.name, "drift": {"amount": 0.125}, "outliers": 0.01},
            card="# Formats\n",
            lock=Path(lock.name),
        ).save(folder, code).verify()


if __name__ == "__main__":
    here = Path(__file__).parent / str(formats.CURRENT)
    shutil.rmtree(here, ignore_errors=True)
    save(here / "onnx", Level, classifier())
    save(here / "python", Price, regression())
