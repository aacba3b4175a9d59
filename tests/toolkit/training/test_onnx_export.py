"""The exported model serves where it says the same, and only there."""

import json
import pickle
from datetime import date
from typing import Annotated, Any, Literal

import numpy as np
import onnxruntime
import pytest
from pydantic import BaseModel, Field
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import from_rows
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.json_rows import RowParser
from titanic_survival.toolkit.training.export import onnx_export, parity
from titanic_survival.toolkit.version import artifact
from titanic_survival.toolkit.version.runtime import MATRIX_INPUT, OnnxRuntime, PythonRuntime


class Row(BaseModel):
    """Numbers with edges."""

    amount: float = Field(ge=0, le=100)
    maybe: float | None = None
    truth: bool = False
    word: Literal["a", "b"] | None = None


class Numbers(BaseModel):
    """Numbers alone."""

    amount: float = Field(ge=0, le=100)
    other: float


class Prediction(BaseModel):
    """A number."""

    answer: float


COLUMNS = {"amount": np.arange(20, dtype=np.float32), "other": np.ones(20, np.float32)}
CONTRACT = derive(Numbers, Prediction)


def test_convertible_model_passes_the_parity_check_and_is_exported() -> None:
    model = LinearRegression().fit(dataframes.as_frame(COLUMNS, CONTRACT), 2.0 * COLUMNS["amount"])
    exported = onnx_export.export(model, CONTRACT, COLUMNS)
    assert exported.model
    assert "parity check passed" in exported.note
    expected = PythonRuntime(model, CONTRACT).score(COLUMNS)["answer"]
    np.testing.assert_allclose(OnnxRuntime(exported.model, CONTRACT).score(COLUMNS)["answer"], expected, rtol=1e-5)


class Plain:
    """A model that no converter knows."""

    def predict(self, frame: Any) -> np.ndarray:
        """Return zeros."""
        return np.zeros(len(frame))


class Unknown(BaseEstimator):
    """An estimator that no converter knows."""

    def predict(self, frame: Any) -> np.ndarray:
        """Return zeros."""
        return np.zeros(len(frame))


@pytest.mark.parametrize("model", [Plain(), Unknown()])
def test_model_that_cannot_be_converted_serves_itself_and_the_note_says_why(model: Any) -> None:
    exported = onnx_export.export(model, CONTRACT, COLUMNS)
    assert exported.model is None
    assert exported.note.startswith("not convertible to ONNX: ")
    assert "\n" not in exported.note


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e9, 1e-3])
def test_export_that_fails_the_parity_check_does_not_serve(monkeypatch: pytest.MonkeyPatch, wrong: float) -> None:
    score = OnnxRuntime.score

    def differs(self: Any, columns: Any) -> Any:
        answer = score(self, columns)["answer"].copy()
        answer[7] += np.float32(wrong)
        return {"answer": answer}

    monkeypatch.setattr(OnnxRuntime, "score", differs)
    model = LinearRegression().fit(dataframes.as_frame(COLUMNS, CONTRACT), 2.0 * COLUMNS["amount"])
    exported = onnx_export.export(model, CONTRACT, COLUMNS)
    assert exported.model is None
    assert "parity check failed" in exported.note


def test_edge_rows_have_limits_categories_bools_and_missing_values() -> None:
    usual = {"amount": [5.0], "maybe": [1.0], "truth": [0.0]}
    rows = {name: np.array(value, np.float32) for name, value in usual.items()} | {"word": np.array(["a"], object)}
    edges = parity.edge_rows(derive(Row, Prediction), rows).columns
    assert {0.0, 100.0} <= set(edges["amount"].tolist())
    assert np.isnan(edges["maybe"]).any()
    assert {0.0, 1.0} <= set(edges["truth"].tolist())
    assert {"a", "b", ""} <= set(edges["word"].tolist())


class Texts(BaseModel):
    """A text, keys and a date."""

    text: str = Field(max_length=12)
    key: Annotated[str, "key"]
    number: Annotated[int, "key"] | None
    day: date | None


def test_edge_rows_have_unseen_texts_keys_and_missing_dates() -> None:
    contract = derive(Texts, Prediction)
    values = {"text": "A great film", "key": "K-1", "number": 90210, "day": "2026-11-22"}
    edges = parity.edge_rows(contract, from_rows([values], contract)).columns
    assert {"A GREAT FILM", "a great film", "unseen value"} <= set(edges["text"])
    assert max(map(len, edges["text"])) == 12
    assert "" not in {*edges["text"], *edges["key"]}
    assert {"90210", "0", ""} <= set(edges["number"]) <= {"90210", "0", "", "999999999"}
    assert np.isnan(edges["day"]).all(axis=1).sum() == 1


def test_texts_keys_and_dates_are_served_by_onnx() -> None:
    contract, random = derive(Texts, Prediction), np.random.default_rng(0)
    rows = [
        {
            "text": f"{random.choice(['good', 'bad'])} film",
            "key": str(random.choice(["K-1", "K-2"])),
            "number": int(random.integers(3)) or None,
            "day": f"2026-11-{random.integers(1, 29):02}",
        }
        for _ in range(100)
    ]
    columns = from_rows(rows, contract)
    transformer = make_column_transformer(
        (TfidfVectorizer(), "text"),
        (OneHotEncoder(handle_unknown="ignore"), ["key", "number"]),
        (SimpleImputer(), ["day_day", "day_weekday"]),
    )
    answer = np.array(["good" in row["text"] for row in rows]) + columns["day"][:, 2] / 10
    model = make_pipeline(transformer, Ridge()).fit(dataframes.as_frame(columns, contract), answer)
    exported = onnx_export.export(model, contract, columns)
    assert exported.model, exported


def test_version_of_this_project_predicts_what_its_original_predicts(version: Any, rows: list[dict[str, Any]]) -> None:
    original = PythonRuntime(pickle.loads((version.folder / "model.pkl").read_bytes()), version.contract)
    _, columns = RowParser(version.contract).parse(json.dumps(rows).encode())
    expected, got = original.score(columns), version.runtime.score(columns)
    assert version.details["runtime"] == version.runtime.name
    for name, array in expected.items():
        if array.dtype == np.float32:
            np.testing.assert_allclose(got[name], array, rtol=artifact.TOLERANCE, atol=artifact.TOLERANCE)
        else:
            assert got[name].tolist() == array.tolist()


class Sides(BaseModel):
    """One of two classes."""

    label: bool


def test_runtime_writes_no_warnings_about_shapes(capfd: pytest.CaptureFixture[str]) -> None:
    contract = derive(Numbers, Sides)
    frame = dataframes.as_frame(COLUMNS, contract)
    model = RidgeClassifier().fit(frame, np.arange(20) % 2)
    exported = onnx_export.export(model, contract, COLUMNS)
    assert exported.model
    # Its converter declares two columns of scores, and there is one. Here at the lowest level, with all warnings.
    session = onnxruntime.InferenceSession(exported.model)
    session.run(None, {MATRIX_INPUT: np.column_stack(list(COLUMNS.values()))})
    said = capfd.readouterr()
    assert "Expected shape" not in said.out + said.err
