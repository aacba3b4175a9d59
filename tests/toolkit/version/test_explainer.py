"""Explanations: for models whose contributions are known, and for this project's."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field, create_model
from titanic_survival.model import data
from titanic_survival.toolkit.contract.columns import Columns
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.json_rows import RowParser
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.training import dataset, samples
from titanic_survival.toolkit.version import explainer
from titanic_survival.toolkit.version.artifact import Artifact
from titanic_survival.toolkit.version.runtime import PythonRuntime


class Row(BaseModel):
    """Numbers, a category and a vector."""

    one: float
    two: float
    maybe: float | None = None
    category: Literal["a", "b"]
    vector: list[float] = Field(min_length=2, max_length=2)


class Answer:
    """Answers what it is told to, from a table of rows."""

    def __init__(self, **answers: Callable[[pd.DataFrame], Any]) -> None:
        self.answers = answers

    def predict(self, frame: pd.DataFrame) -> dict[str, Any]:
        """Return all fields."""
        return {name: np.asarray(answer(frame)) for name, answer in self.answers.items()}


BACKGROUND: Columns = {
    "one": np.array([1, 1, 4], np.float32),
    "two": np.array([1, 1, 4], np.float32),
    "maybe": np.array([np.nan, 1, 2], np.float32),
    "category": np.array(["a", "b", "b"], object),
    "vector": np.array([[0, 0], [1, 1], [0, 0]], np.float32),
}
ROWS: Columns = {
    "one": np.array([3, 7], np.float32),
    "two": np.array([3, 1], np.float32),
    "maybe": np.array([np.nan, 3], np.float32),
    "category": np.array(["b", "a"], object),
    "vector": np.array([[2, 3], [0, 0]], np.float32),
}
NAMES = list(ROWS)


def explain_with(prediction: dict[str, Any], **answers: Callable[[pd.DataFrame], Any]) -> explainer.Explanations:
    """Explain `ROWS` by a model that answers the fields of `prediction`."""
    contract = derive(Row, create_model("Prediction", **{name: (kind, ...) for name, kind in prediction.items()}))
    runtime = PythonRuntime(Answer(**answers), contract)
    found = explainer.Explainer(contract, BACKGROUND).explain(ROWS, runtime.score)
    np.testing.assert_allclose(found.contributions.sum(axis=1), found.prediction - found.base, atol=1e-6)
    return found


def test_linear_model_gets_coefficient_times_distance_from_the_mean() -> None:
    found = explain_with({"label": float}, label=lambda f: 2 * f["one"] - 3 * f["two"] + (f["category"] == "b") + 5)
    distance = {name: ROWS[name] - BACKGROUND[name].mean() for name in ("one", "two")}
    category = (ROWS["category"] == "b") - 2 / 3
    np.testing.assert_allclose(found.contributions[:, 0], 2 * distance["one"], atol=1e-6)
    np.testing.assert_allclose(found.contributions[:, 1], -3 * distance["two"], atol=1e-6)
    np.testing.assert_allclose(found.contributions[:, 3], category, atol=1e-6)
    assert found.output == ["label", "label"]


def test_linear_model_of_many_fields_gets_the_same() -> None:
    fields: dict[str, Any] = {f"f{i}": (float, ...) for i in range(20)}
    contract = derive(create_model("Row", **fields), create_model("Prediction", label=(float, ...)))
    random = np.random.default_rng(0)
    background = {name: random.normal(size=30).astype(np.float32) for name in fields}
    rows = {name: random.normal(size=2).astype(np.float32) for name in fields}
    weights = np.arange(20)
    runtime = PythonRuntime(Answer(label=lambda frame: frame.to_numpy() @ weights), contract)
    found = explainer.Explainer(contract, background).explain(rows, runtime.score)
    distance = np.stack([rows[name] - background[name].mean() for name in fields], axis=1)
    np.testing.assert_allclose(found.contributions, weights * distance, atol=1e-4)


def test_field_that_the_model_does_not_use_gets_nothing() -> None:
    found = explain_with({"label": float}, label=lambda f: f["one"] * f["two"])
    assert not found.contributions[:, 2:].any()


def test_fields_that_do_the_same_get_the_same() -> None:
    found = explain_with({"label": float}, label=lambda f: np.minimum(f["one"], f["two"]) ** 2)
    assert found.contributions[0, 0] == pytest.approx(found.contributions[0, 1])
    assert found.contributions[0, 0] != 0


def test_vector_is_one_field_and_a_missing_value_is_a_value() -> None:
    found = explain_with({"label": float}, label=lambda f: f["vector_0"] + f["vector_1"] + 6 * f["maybe"].isna())
    np.testing.assert_allclose(found.contributions[:, NAMES.index("vector")], [5 - 2 / 3, -2 / 3], atol=1e-6)
    np.testing.assert_allclose(found.contributions[:, NAMES.index("maybe")], [4, -2], atol=1e-6)


Word = Literal["high", "low"]
VECTOR = Annotated[list[float], Field(min_length=2, max_length=2)]


@pytest.mark.parametrize(
    ("prediction", "output", "explained"),
    [
        ({"label": bool}, ["label", "label"], [0, 1]),
        ({"label": Word}, ["label=low", "label=high"], [1, 1]),
        ({"label": bool, "probability": float}, ["probability", "probability"], [0.25, 0.75]),
        ({"label": Word, "confidence": float}, ["confidence", "confidence"], [0.75, 0.75]),
        (
            {"label": Word, "confidence": float, "probabilities": VECTOR},
            ["probabilities[0]", "probabilities[1]"],
            [0.75, 0.75],
        ),
    ],
)
def test_what_is_explained_of_a_classification(
    prediction: dict[str, Any], output: list[str], explained: list[float]
) -> None:
    def probability(frame: pd.DataFrame) -> np.ndarray:
        return np.where(frame["one"] > 3, 0.75, 0.25)

    answers: dict[str, Callable[[pd.DataFrame], Any]] = {
        "label": lambda f: f["one"] > 3 if prediction["label"] is bool else np.where(f["one"] > 3, "high", "low"),
        "probability": probability,
        "confidence": lambda f: np.full(len(f), 0.75),
        "probabilities": lambda f: np.stack([1 - probability(f), probability(f)], axis=1),
    }
    found = explain_with(prediction, **{name: answers[name] for name in prediction})
    assert found.output == output
    np.testing.assert_allclose(found.prediction, explained)
    assert not found.contributions[:, 1:].any()
    assert found.contributions[:, 0].all()


def test_rows_that_are_the_same_are_scored_once() -> None:
    contract = derive(Row, create_model("Prediction", label=(float, ...)))
    scored: list[int] = []

    def score(columns: Columns) -> Columns:
        scored.append(len(columns["one"]))
        return {"label": columns["one"]}

    one = {name: array[:1] for name, array in BACKGROUND.items()}
    explainer.Explainer(contract, one).explain({name: array[:1] for name, array in BACKGROUND.items()}, score)
    assert scored == [1]


@pytest.mark.parametrize(
    ("length", "most"), [(10, explainer.MAX_POINTS), (200_000, explainer.MAX_CHARACTERS // 200_000)]
)
def test_long_texts_are_scored_few_at_a_time(length: int, most: int) -> None:
    contract = derive(
        create_model("Row", note=(str, Field(max_length=length)), one=(float, ...)),
        create_model("P", label=(float, ...)),
    )
    background = {"note": np.array(["a", "b", "c"], dtype=object), "one": np.arange(3, dtype=np.float32)}
    scored: list[int] = []

    def score(columns: Columns) -> Columns:
        scored.append(len(columns["note"]))
        return {"label": columns["one"] + [len(text) for text in columns["note"].tolist()]}

    row = {"note": np.array(["x" * length] * 4, dtype=object), "one": np.arange(4, dtype=np.float32)}
    found = explainer.Explainer(contract, background).explain(row, score)
    assert max(scored) <= most
    assert sum(scored) > 20
    np.testing.assert_allclose(found.contributions.sum(axis=1) + found.base, found.prediction)


@pytest.fixture(scope="module")
def columns(version: Artifact, rows: list[dict[str, Any]]) -> Columns:
    return RowParser(version.contract).parse(json.dumps(rows[:4]).encode())[1]


def test_contributions_of_this_model_sum_to_prediction_minus_base(version: Artifact, columns: Columns) -> None:
    found = version.explainer.explain(columns, version.runtime.score)
    assert found.contributions.shape == (4, len(version.contract.row))
    np.testing.assert_allclose(found.contributions.sum(axis=1), found.prediction - found.base, rtol=1e-5, atol=1e-5)


def test_explanation_does_not_depend_on_the_day_or_on_the_rows_beside(version: Artifact, columns: Columns) -> None:
    together = version.explainer.explain(columns, version.runtime.score)
    again = Artifact(version.folder).explainer.explain(columns, version.runtime.score)
    np.testing.assert_array_equal(again.contributions, together.contributions)
    alone = version.explainer.explain({name: array[2:3] for name, array in columns.items()}, version.runtime.score)
    np.testing.assert_allclose(alone.contributions[0], together.contributions[2], rtol=1e-5, atol=1e-5)
    assert alone.output == together.output[2:3]


def test_background_is_the_sample_that_was_drawn_at_training(version: Artifact, contract: Contract) -> None:
    training, _ = data.split(dataset.labelled_rows(data.load(), contract).table)
    drawn = samples.background(dataset.labelled_rows(training, contract))
    assert list(version.explainer.background) == list(drawn)
    for name, array in drawn.items():
        np.testing.assert_array_equal(version.explainer.background[name], array)
        assert version.explainer.background[name].dtype == array.dtype
        assert len(array) == min(len(training), samples.BACKGROUND_ROWS)


def test_compiled_model_is_explained_without_the_libraries_of_training(version: Artifact) -> None:
    if version.runtime.name != "onnx":
        pytest.skip("a model in Python needs its own libraries")
    code = f"""
import json, sys
from pathlib import Path
from {explainer.__package__} import artifact
from {explainer.__package__.replace("version", "contract")}.columns import from_rows
version = artifact.Artifact(Path({str(version.folder)!r}))
columns = from_rows(version.example.rows, version.contract)
version.explainer.explain(columns, version.runtime.score)
print(json.dumps([name for name in ("pandas", "sklearn", "mlflow") if name in sys.modules]))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == []
