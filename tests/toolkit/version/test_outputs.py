"""The fields of a prediction, from what estimators of scikit-learn return: several labels, and none."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import LocalOutlierFactor
from sklearn.svm import OneClassSVM
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.columns import Columns
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.training.export.onnx_export import export
from titanic_survival.toolkit.version.runtime import OnnxRuntime, PythonRuntime

COLUMNS: Columns = dict(zip("ab", np.random.default_rng(0).normal(size=(2, 300)).astype(np.float32), strict=True))
FRAME = pd.DataFrame(COLUMNS)


class Row(BaseModel):
    """Two numbers."""

    a: float
    b: float


class Outlier(BaseModel):
    """Whether a row is unusual."""

    unusual: bool
    score: float


class Cluster(BaseModel):
    """The group of a row."""

    group: int


class Mixture(BaseModel):
    """The group of a row, and how likely each is."""

    group: int
    score: float
    probabilities: list[float] = Field(min_length=3, max_length=3)


class Marks(BaseModel):
    """Two labels with the probability of each."""

    left: bool
    right: bool
    probabilities: list[float] = Field(min_length=2, max_length=2)


class Grades(BaseModel):
    """Two labels of several classes."""

    first: Literal["low", "mid", "high"]
    second: Literal["low", "mid", "high"]


def contract_of(prediction: type[BaseModel], label_count: int) -> Contract:
    return derive(Row, prediction).model_copy(update={"label_count": label_count})


def scored(estimator: Any, contract: Contract) -> Columns:
    """Return what the Python runtime predicts, after a comparison with the export, if there is one."""
    found = PythonRuntime(estimator, contract).score(COLUMNS)
    exported = export(estimator, contract, COLUMNS).model
    if exported:
        others = OnnxRuntime(exported, contract).score(COLUMNS)
        for name, array in found.items():
            assert others[name].dtype == array.dtype
            if array.dtype == np.float32:
                np.testing.assert_allclose(others[name], array, atol=1e-5, rtol=1e-5)
            else:
                np.testing.assert_array_equal(others[name], array)
    return found


@pytest.mark.parametrize(
    "estimator",
    [
        IsolationForest(n_estimators=20, contamination=0.1, random_state=0),
        OneClassSVM(nu=0.1),
        EllipticEnvelope(contamination=0.1, random_state=0),
        LocalOutlierFactor(novelty=True, contamination=0.1),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_detectors_give_outliers_as_true_and_their_score_below_0(estimator: Any) -> None:
    found = scored(estimator.fit(FRAME), contract_of(Outlier, 0))
    np.testing.assert_array_equal(found["unusual"], estimator.predict(FRAME) == -1)
    np.testing.assert_array_equal(found["unusual"], found["score"] < 0)
    assert 5 < found["unusual"].sum() < 60


@pytest.mark.parametrize("estimator", [KMeans(3, n_init=1, random_state=0), MiniBatchKMeans(3, random_state=0)])
def test_clusters_are_numbers(estimator: Any) -> None:
    found = scored(estimator.fit(FRAME), contract_of(Cluster, 0))
    np.testing.assert_array_equal(found["group"], estimator.predict(FRAME))


def test_mixture_has_probabilities_and_the_log_likelihood() -> None:
    estimator = GaussianMixture(3, random_state=0).fit(FRAME)
    found = scored(estimator, contract_of(Mixture, 0))
    np.testing.assert_allclose(found["probabilities"], estimator.predict_proba(FRAME), atol=1e-5)
    np.testing.assert_allclose(found["score"], estimator.score_samples(FRAME), rtol=1e-5)


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(10, random_state=0),
        MultiOutputClassifier(LogisticRegression()),
        ClassifierChain(LogisticRegression()),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_probabilities_of_several_labels_are_of_true(estimator: Any) -> None:
    marks = np.column_stack([FRAME["a"] > 0.5, FRAME["a"] + FRAME["b"] > 0]).astype(int)
    found = scored(estimator.fit(FRAME, marks), contract_of(Marks, 2))
    for i, name in enumerate(("left", "right")):
        assert found[name].dtype == np.bool_
        np.testing.assert_array_equal(found[name], estimator.predict(FRAME)[:, i] == 1)
        assert ((found["probabilities"][:, i] > 0.5) == found[name]).mean() > 0.99


def test_several_labels_may_have_more_classes() -> None:
    names = np.array(["low", "mid", "high"], object)
    grades = names[np.column_stack([np.digitize(FRAME["a"], [-0.5, 0.5]), np.digitize(FRAME["b"], [-0.5, 0.5])])]
    estimator = RandomForestClassifier(10, random_state=0).fit(FRAME, grades)
    found = scored(estimator, contract_of(Grades, 2))
    np.testing.assert_array_equal(np.column_stack([found["first"], found["second"]]), estimator.predict(FRAME))


class Returns:
    """A model that returns a prepared array."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the array."""
        return self.array


@pytest.mark.parametrize("array", [np.zeros(300), np.zeros((300, 3))])
def test_array_that_has_not_one_column_for_each_label_is_named(array: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"one column for each label of model/schema.py, first, second"):
        PythonRuntime(Returns(array), contract_of(Grades, 2)).score(COLUMNS)


class Mark(BaseModel):
    """No label, and no score."""

    unusual: bool


def test_bools_without_label_are_bools_or_those_of_scikit_learn() -> None:
    contract = contract_of(Mark, 0)
    marks = np.arange(300) % 2 == 0
    for array in (marks, np.where(marks, -1, 1)):
        np.testing.assert_array_equal(PythonRuntime(Returns(array), contract).score(COLUMNS)["unusual"], marks)
    with pytest.raises(UserError, match=r"returns \[0, 1\]; for a bool without a column"):
        PythonRuntime(Returns(marks.astype(int)), contract).score(COLUMNS)


def test_score_that_the_estimator_has_not_is_named() -> None:
    class Scored(Cluster):
        score: float

    with pytest.raises(UserError, match=r"Prediction.score is not among the outputs"):
        PythonRuntime(KMeans(2, n_init=1).fit(FRAME), contract_of(Scored, 0)).score(COLUMNS)
