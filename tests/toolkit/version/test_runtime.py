"""What a model may answer, and what becomes of it."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import Field, create_model
from sklearn.dummy import DummyClassifier
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.version.runtime import PythonRuntime

COLUMNS = {"given": np.array([1, 2, 3], np.float32)}


class Says:
    """A model that gives a prepared answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, frame: pd.DataFrame) -> Any:
        """Return the answer."""
        return self.answer


def runtime(model: Any, **fields: Any) -> PythonRuntime:
    return PythonRuntime(model, derive(create_model("Row", given=(float, ...)), create_model("Prediction", **fields)))


@pytest.mark.parametrize(
    ("kind", "answer", "dtype"),
    [
        (float, [0, 1, 2], np.float32),
        (int, np.array([0, 1, 2], np.uint8), np.int64),
        (bool, [0, 1, 1], np.bool_),
        (Literal["a", "b"], np.array(["a", "b", "a"]), object),
        (float, np.array([[0.0], [1.0], [2.0]]), np.float32),
        (float, pd.Series([0.0, 1.0, 2.0], index=[7, 8, 9]), np.float32),
    ],
)
def test_label_comes_in_the_type_of_the_schema(kind: Any, answer: Any, dtype: Any) -> None:
    label = runtime(Says(answer), label=(kind, ...)).score(COLUMNS)["label"]
    assert label.dtype == dtype
    assert label.tolist() == np.ravel(answer).tolist()


@pytest.mark.parametrize("form", [dict, pd.DataFrame])
def test_model_may_answer_every_field_itself(form: Any) -> None:
    answer = form({"label": [1.0, 2.0, 3.0], "spread": [0.1, 0.2, 0.3], "unasked": [0, 0, 0]})
    found = runtime(Says(answer), label=(float, ...), spread=(float, ...)).score(COLUMNS)
    assert list(found) == ["label", "spread"]
    np.testing.assert_array_equal(found["spread"], np.array([0.1, 0.2, 0.3], np.float32))


def test_classifier_adds_its_probabilities() -> None:
    model = DummyClassifier(strategy="prior").fit(pd.DataFrame(COLUMNS), [True, True, False])
    fields = {"probability": (float, ...), "confidence": (float, ...)}
    vector = {"probabilities": (list[float], Field(min_length=2, max_length=2))}
    found = runtime(model, label=(bool, ...), **fields, **vector).score(COLUMNS)
    np.testing.assert_allclose(found["probability"], 2 / 3)
    np.testing.assert_allclose(found["confidence"], 2 / 3)
    np.testing.assert_allclose(found["probabilities"], [[1 / 3, 2 / 3]] * 3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"label": [0, 0, 0]}, "Prediction.spread is not among"),
        ({"label": [0, 0, 0], "spread": [0]}, r"shape \(1,\), not \(3,\)"),
        ([0, 0], "not among|shape"),
    ],
)
def test_answer_that_breaks_the_schema_is_named(answer: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        runtime(Says(answer), label=(float, ...), spread=(float, ...)).score(COLUMNS)
