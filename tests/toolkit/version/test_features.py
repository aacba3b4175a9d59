"""Features between rows and model: the same for every runtime, kept with a version, checked at every call."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import titanic_survival.model as code
from pydantic import BaseModel, Field
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import Columns, as_records, from_rows, take
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import feature_checks
from titanic_survival.toolkit.training.export import onnx_export
from titanic_survival.toolkit.version import artifact
from titanic_survival.toolkit.version.artifact import Artifact, Example
from titanic_survival.toolkit.version.contents import Contents
from titanic_survival.toolkit.version.explainer import Explainer
from titanic_survival.toolkit.version.features import Features, FeaturesRuntime
from titanic_survival.toolkit.version.reference_profile import Profile
from titanic_survival.toolkit.version.runtime import OnnxRuntime, PythonRuntime


class Row(BaseModel):
    """Two numbers, a category and a vector."""

    price: float = Field(ge=0, le=100)
    pieces: int = Field(ge=1, le=9)
    colour: Literal["red", "green"] | None = None
    place: list[float] = Field(min_length=2, max_length=2)


class Prediction(BaseModel):
    """A number."""

    answer: float


CONTRACT = derive(Row, Prediction)
RANDOM = np.random.default_rng(0)
COLUMNS = {
    "price": RANDOM.uniform(0, 100, 60).astype(np.float32),
    "pieces": RANDOM.integers(1, 10, 60).astype(np.float32),
    "colour": np.resize(np.array(["red", "green", ""], dtype=object), 60),
    "place": RANDOM.normal(size=(60, 2)).astype(np.float32),
}
KINDS: Any = {"total": "number", "long": "number", "shade": "text"}
SOURCE = """
import numpy as np
import pandas as pd

SHADES = {"red": "warm", "green": "cold"}


def features(frame):
    return pd.DataFrame({
        "total": frame["price"] * frame["pieces"],
        "long": np.hypot(frame["place_0"], frame["place_1"]) > 1,
        "shade": frame["colour"].map(SHADES),
    })
"""


def function_of(source: str) -> Callable[[pd.DataFrame], Any]:
    """Return the function `features` of what stands for `model/features.py`."""
    module = ModuleType(f"{code.__name__}.features")
    exec(source, vars(module))
    function: Callable[[pd.DataFrame], Any] = module.features
    return function


FEATURES = Features(function_of(SOURCE), CONTRACT, KINDS)
MODEL_CONTRACT = FEATURES.model_contract(CONTRACT)


def fitted() -> Any:
    """Return a pipeline that was fitted on the columns of the features."""
    columns = FEATURES.columns(COLUMNS)
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["shade"]), remainder="passthrough"), LinearRegression()
    )
    label = columns["total"] + 10 * (columns["shade"] == "warm")
    return model.fit(dataframes.as_frame(columns, MODEL_CONTRACT), label)


def saved(folder: Path, *, with_onnx: bool) -> Artifact:
    """Return a version with features."""
    model = fitted()
    onnx = onnx_export.export(model, *feature_checks.parity_rows(CONTRACT, FEATURES, COLUMNS)).model
    assert onnx
    runtime = FeaturesRuntime(FEATURES, OnnxRuntime(onnx, MODEL_CONTRACT))
    rows = take(COLUMNS, np.arange(3))
    examples = [
        {
            "price": float(rows["price"][i]),
            "pieces": int(rows["pieces"][i]),
            "colour": rows["colour"][i] or None,
            "place": rows["place"][i].tolist(),
        }
        for i in range(3)
    ]
    predictions = runtime.score(COLUMNS)
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    return Contents(
        contract=CONTRACT,
        model=model,
        onnx=onnx if with_onnx else None,
        example=Example(rows=examples, predictions=as_records(runtime.score(rows), CONTRACT)),
        background=rows,
        profile=Profile.of(
            CONTRACT, training=COLUMNS, holdout=COLUMNS, predictions=predictions, label=predictions["answer"]
        ),
        details={"runtime": "onnx"},
        card="",
        lock=folder / "lock",
        features=FEATURES,
    ).save(folder / "version", code)


def test_model_sees_the_columns_that_the_function_makes() -> None:
    found = FEATURES.columns(take(COLUMNS, np.arange(3)))
    np.testing.assert_allclose(found["total"], COLUMNS["price"][:3] * COLUMNS["pieces"][:3])
    np.testing.assert_array_equal(found["long"], np.hypot(*COLUMNS["place"][:3].T) > 1)
    assert found["shade"].tolist() == ["warm", "cold", ""]
    assert {name: array.dtype for name, array in found.items()} == {
        "total": np.float32,
        "long": np.float32,
        "shade": np.dtype(object),
    }


def test_onnx_and_python_score_the_columns_alike() -> None:
    model = fitted()
    exported = onnx_export.export(model, *feature_checks.parity_rows(CONTRACT, FEATURES, COLUMNS))
    assert exported.model, exported.note
    onnx = FeaturesRuntime(FEATURES, OnnxRuntime(exported.model, MODEL_CONTRACT))
    python = FeaturesRuntime(FEATURES, PythonRuntime(model, MODEL_CONTRACT))
    assert (onnx.name, python.name) == ("onnx", "python")
    expected = COLUMNS["price"] * COLUMNS["pieces"] + 10 * (COLUMNS["colour"] == "red")
    np.testing.assert_allclose(onnx.score(COLUMNS)["answer"], expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(onnx.score(COLUMNS)["answer"], python.score(COLUMNS)["answer"], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("with_onnx", [True, False])
def test_version_keeps_its_function_by_value(tmp_path: Path, with_onnx: bool) -> None:
    version = saved(tmp_path / "saved", with_onnx=with_onnx)
    assert version.runtime.name == ("onnx" if with_onnx else "python")
    assert version.features
    assert version.features.kinds == KINDS
    version.verify()
    # In another process, where the module has no such function.
    load = "import sys; from pathlib import Path; from titanic_survival.toolkit.version.artifact import Artifact; "
    load += "from titanic_survival.model import features; assert not hasattr(features, 'features'); "
    load += "Artifact(Path(sys.argv[1])).verify()"
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", load, version.folder], check=True, env=os.environ | path)


def test_version_is_verified_through_its_features(tmp_path: Path) -> None:
    version = saved(tmp_path / "saved", with_onnx=True)
    other = Features(function_of(SOURCE.replace("* frame", "+ frame")), CONTRACT, KINDS)
    version.__dict__["features"] = other
    with pytest.raises(UserError, match=r"row 0 of example\.json was predicted"):
        version.verify()


def test_version_without_features_has_none(version: Artifact) -> None:
    assert not version.has_features
    assert version.features is None
    assert not isinstance(version.runtime, FeaturesRuntime)
    assert not {artifact.FEATURES, artifact.FEATURE_COLUMNS} & {path.name for path in version.folder.iterdir()}


def test_library_that_the_function_lacks_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = saved(tmp_path / "saved", with_onnx=True)
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setenv("IMAGE_ENVIRONMENT", "serve")
    with pytest.raises(UserError, match=r"needs pandas, .*--build-arg ENVIRONMENT=model"):
        _ = Artifact(version.folder).runtime


def test_explanation_is_of_the_row_fields() -> None:
    python = FeaturesRuntime(FEATURES, PythonRuntime(fitted(), MODEL_CONTRACT))
    explainer = Explainer(CONTRACT, take(COLUMNS, np.arange(20)))
    found = explainer.explain(take(COLUMNS, np.arange(30, 33)), python.score)
    assert found.contributions.shape == (3, len(CONTRACT.row))
    np.testing.assert_allclose(found.base + found.contributions.sum(axis=1), found.prediction, rtol=1e-4)
    # `price` and `pieces` matter only through their product.
    assert (np.abs(found.contributions[:, :2]) > 1).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.drop(columns="total"), "no column 'total', but did for other rows"),
        (lambda frame: frame[:1], "returned 1 rows for 60"),
        (lambda frame: frame.assign(total="many"), "a column of another type than for other rows.*many"),
        (lambda frame: frame.assign(total=frame["missing"]), "KeyError: 'missing'.*columns price, pieces, colour"),
        (lambda frame: None, "NoneType, not a pandas DataFrame"),
    ],
)
def test_output_that_differs_from_the_training_is_an_error(change: Callable[[Any], Any], said: str) -> None:
    function = function_of(SOURCE)
    features = Features(lambda frame: change(function(frame)), CONTRACT, KINDS)
    with pytest.raises(UserError, match=said):
        features.columns(COLUMNS)


def test_other_columns_and_their_order_do_not_matter() -> None:
    function = function_of(SOURCE)
    features = Features(lambda frame: function(frame)[["shade", "long", "total"]].assign(more=1), CONTRACT, KINDS)
    expected, found = FEATURES.columns(COLUMNS), features.columns(COLUMNS)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_missing_numbers_in_any_form_are_nan() -> None:
    forms: list[Any] = [[None, 1.5], pd.array([None, 1.5], "Float64"), pd.array([None, 1], "Int64"), [np.nan, True]]
    forms += [pd.array([None, True], "boolean"), pd.Series([None, 1.5], dtype=object)]
    rows: Columns = take(COLUMNS, np.arange(2))
    for form in forms:
        features = Features(lambda frame, form=form: pd.DataFrame({"x": form}), CONTRACT, {"x": "number"})
        found = features.columns(rows)["x"]
        assert found.dtype == np.float32
        assert np.isnan(found[0])
        assert found[1] in (1, 1.5)


def test_cost_is_measured_for_one_row_and_for_a_thousand() -> None:
    sizes = []

    def count(frame: pd.DataFrame) -> pd.DataFrame:
        sizes.append(len(frame))
        return frame

    kinds: Any = dict.fromkeys(("price", "pieces"), "number")
    cost = Features(count, CONTRACT, kinds).microseconds(take(COLUMNS, np.arange(3)))
    assert list(cost) == ["1", "1000"]
    assert all(value > 0 for value in cost.values())
    assert set(sizes) == {1, 1000}


def test_rows_of_an_example_are_made_as_any_others(tmp_path: Path) -> None:
    version = saved(tmp_path / "saved", with_onnx=True)
    rows = from_rows(version.example.rows, CONTRACT)
    assert as_records(version.runtime.score(rows), CONTRACT) == version.example.predictions


def test_infinite_feature_of_a_row_is_an_error_and_no_prediction() -> None:
    features = Features(function_of(SOURCE.replace('frame["price"] *', '1 / frame["price"] *')), CONTRACT, KINDS)
    runtime = FeaturesRuntime(features, PythonRuntime(fitted(), MODEL_CONTRACT))
    rows = take(COLUMNS, np.arange(2))
    assert len(runtime.score(rows)["answer"]) == 2
    rows["price"] = np.array([1, 0], np.float32)
    with pytest.raises(UserError, match="infinite number in column 'total'"):
        runtime.score(rows)
