"""Thresholds: set, tuned, or those of scikit-learn's wrappers; the label follows from them as it does there."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import f1_score, precision_score, recall_score
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.training import threshold
from titanic_survival.toolkit.training.dataset import LabelledRows, labelled_rows
from titanic_survival.toolkit.version.runtime import PythonRuntime

COUNT = 1500


class Row(BaseModel):
    """Two numbers."""

    low: float
    high: float


class Answer(BaseModel):
    """The second class is not the second of those sorted."""

    answer: Literal["yes", "no"]


class Rare(BaseModel):
    """One class is rare."""

    rare: bool


class Data:
    """What a fit needs of a data set."""

    features = None

    def __init__(self, prediction: type[BaseModel], label: np.ndarray) -> None:
        random = np.random.default_rng(0)
        name = next(iter(prediction.model_fields))
        positive = (label == label.max()).astype(float)
        table = pd.DataFrame(
            {"low": positive + random.normal(size=COUNT), "high": positive + random.normal(size=COUNT), name: label}
        )
        plain = derive(Row, prediction)
        self.training: LabelledRows = labelled_rows(table, plain)
        self.contract: Contract = plain.with_classes(self.training.label)


@pytest.fixture(scope="module")
def answers() -> Data:
    return Data(Answer, np.where(np.random.default_rng(1).random(COUNT) < 0.2, "yes", "no").astype(object))


@pytest.fixture(scope="module")
def rare() -> Data:
    return Data(Rare, np.random.default_rng(2).random(COUNT) < 0.1)


def labels(estimator: Any, found: threshold.Threshold | None, data: Data) -> np.ndarray:
    contract = data.contract.model_copy(update={"threshold": found.value if found else None})
    return PythonRuntime(estimator, contract).score(data.training.columns)[contract.label.name]


def features(data: Data) -> pd.DataFrame:
    return pd.DataFrame(data.training.columns)


def scaled(last: Any) -> Any:
    return make_pipeline(StandardScaler(), last)


@pytest.mark.parametrize(
    "estimator",
    [
        FixedThresholdClassifier(scaled(LogisticRegression()), threshold=0.3, pos_label="yes"),
        FixedThresholdClassifier(scaled(LogisticRegression()), threshold=0.3, pos_label="no"),
        scaled(FixedThresholdClassifier(LogisticRegression(), threshold=0.7, pos_label="yes")),
        scaled(FixedThresholdClassifier(LogisticRegression(), pos_label="yes")),
        scaled(TunedThresholdClassifierCV(LogisticRegression(), scoring="balanced_accuracy", cv=3)),
    ],
    ids=["of the first class", "of the second class", "last step", "auto", "tuned"],
)
def test_wrapper_is_taken_off_and_the_labels_stay(estimator: Any, answers: Data) -> None:
    inner, found = threshold.fit(estimator, None, answers)
    assert found is not None
    assert "ThresholdClassifier" in found.note
    assert "ThresholdClassifier" not in repr(inner)
    np.testing.assert_array_equal(labels(inner, found, answers), estimator.predict(features(answers)))
    counts = np.unique(labels(inner, found, answers), return_counts=True)[1]
    assert counts.min() > 20


@pytest.mark.parametrize(
    "estimator",
    [
        scaled(FixedThresholdClassifier(LogisticRegression(), response_method="decision_function", threshold=0.5)),
        FixedThresholdClassifier(RidgeClassifier(), threshold=-0.5),
        scaled(LogisticRegression()),
    ],
    ids=["decision function", "no probabilities", "no wrapper"],
)
def test_estimator_without_a_threshold_of_probabilities_stays_as_it_is(estimator: Any, rare: Data) -> None:
    assert threshold.fit(estimator, None, rare) == (estimator, None)
    np.testing.assert_array_equal(labels(estimator, None, rare), estimator.predict(features(rare)).astype(bool))


def test_threshold_that_is_set_decides(answers: Data) -> None:
    estimator, found = threshold.fit(scaled(LogisticRegression()), 0.9, answers)
    assert found == (0.9, "set in model/quality.py")
    expected = np.where(estimator.predict_proba(features(answers))[:, 0] >= 0.9, "no", "yes")
    np.testing.assert_array_equal(labels(estimator, found, answers), expected)


def test_tuning_maximizes_the_metric_of_the_second_class(rare: Data, answers: Data) -> None:
    plain = scaled(LogisticRegression()).fit(features(rare), rare.training.label)
    estimator, found = threshold.fit(scaled(LogisticRegression()), {"maximize": "f1"}, rare)
    assert found is not None
    assert "f1" in found.note
    actual = rare.training.label
    better = f1_score(actual, labels(estimator, found, rare))
    assert better > f1_score(actual, plain.predict(features(rare))) + 0.05
    _, of_no = threshold.fit(scaled(LogisticRegression()), {"maximize": "recall"}, answers)
    assert of_no is not None
    assert of_no.value < 0.1  # recall of "no", the second class of the schema


def test_tuning_keeps_a_bound(rare: Data) -> None:
    wanted = {"maximize": "recall", "at_least": {"precision": 0.5}}
    estimator, found = threshold.fit(scaled(LogisticRegression()), wanted, rare)
    predicted, actual = labels(estimator, found, rare), rare.training.label
    assert 0.45 < precision_score(actual, predicted) < 0.7
    assert recall_score(actual, predicted) > 0.3


def test_tuning_takes_a_function_of_bools(rare: Data) -> None:
    def profit(actual: np.ndarray, predicted: np.ndarray) -> float:
        assert actual.dtype == predicted.dtype == bool
        return float((actual & predicted).sum() * 20 - predicted.sum())

    _, cheap = threshold.fit(scaled(LogisticRegression()), {"maximize": profit}, rare)
    assert cheap is not None
    assert cheap.value < 0.2
    assert "profit" in cheap.note


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (1.5, "THRESHOLD is 1.5; a probability is between 0 and 1"),
        (True, "no number and no rule"),
        ("f1", "no number and no rule"),
        ({"maximise": "f1"}, "no number and no rule"),
        ({"maximize": "f1", "at_least": 0.5}, "no number and no rule"),
        ({"maximize": "profit"}, "names 'profit'; known are accuracy"),
        ({"maximize": "recall", "at_least": {"prezision": 0.5}}, "names 'prezision'"),
    ],
)
def test_threshold_that_cannot_be_read_is_named(wanted: Any, reason: str, rare: Data) -> None:
    with pytest.raises(UserError, match=reason):
        threshold.check(wanted, rare.contract)


def test_threshold_needs_two_classes(rare: Data) -> None:
    with pytest.raises(UserError, match="has 3 classes"):
        threshold.check(0.3, rare.contract.model_copy(update={"classes": (1, 2, 3)}))


class Own:
    """No estimator of scikit-learn."""

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return one label."""
        return np.zeros(len(frame))


@pytest.mark.parametrize(
    ("estimator", "wanted", "reason"),
    [
        (FixedThresholdClassifier(DummyClassifier()), 0.3, "FixedThresholdClassifier of model/pipeline.py: remove one"),
        (RidgeClassifier(), 0.3, "needs predict_proba.*RidgeClassifier"),
        (Own(), {"maximize": "f1"}, "tuned for estimators of scikit-learn, and Own is none"),
        (Own(), 0.3, "THRESHOLD needs Prediction.probability, which Own has to return"),
    ],
)
def test_threshold_that_does_not_fit_the_estimator_is_named(
    estimator: Any, wanted: Any, reason: str, rare: Data
) -> None:
    with pytest.raises(UserError, match=reason):
        threshold.fit(estimator, wanted, rare)


class Rated(BaseModel):
    """What an object of the owner's returns by name."""

    rare: bool
    probability: float


class Returns:
    """An object of the owner's that has its own rule."""

    def predict(self, frame: pd.DataFrame) -> dict[str, Any]:
        """Return every field."""
        return {"rare": np.zeros(len(frame), bool), "probability": frame["low"].clip(0, 1)}


def test_threshold_decides_for_an_object_that_returns_the_probability() -> None:
    data = Data(Rated, np.arange(COUNT) % 2 == 0)
    estimator, found = threshold.fit(Returns(), 0.6, data)
    expected = data.training.columns["low"].clip(0, 1) >= np.float32(0.6)
    np.testing.assert_array_equal(labels(estimator, found, data), expected)
    assert 0 < expected.sum() < COUNT
