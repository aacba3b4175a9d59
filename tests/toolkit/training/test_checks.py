"""Mistakes in model/ that are named before anything is fitted."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import checks, dataset, gates
from titanic_survival.toolkit.training.dataset import Dataset
from titanic_survival.toolkit.training.measurement import Criteria


class Row(BaseModel):
    """A number, a group and a vector."""

    amount: float
    group: Literal["a", "b"]
    pair: list[float] = Field(min_length=2, max_length=2)


class Prediction(BaseModel):
    """One of two classes."""

    label: bool
    probability: float


class Three(BaseModel):
    """One of three classes."""

    label: Literal["x", "y", "z"]
    probability: float


TABLE = pd.DataFrame(
    {
        "amount": np.arange(60.0),
        "group": ["a"] * 55 + ["b"] * 5,
        "pair": [[1.0, 2.0]] * 60,
        "label": [True, False, True] * 20,
    }
)


def data(prediction: Any = Prediction, label: Any = None) -> Dataset:
    contract = derive(Row, prediction)
    table = TABLE if label is None else TABLE.assign(label=label)
    rows = dataset.labelled_rows(table, contract)
    return Dataset(contract.with_classes(rows.label), rows, rows, rows)


def metrics(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    assert predictions["probability"].between(0, 1).all()
    return {"accuracy": float((actual == predictions["label"]).mean()), "brier": np.nan}


def message(slices: Any, bounds: dict[str, Any]) -> str:
    with pytest.raises(UserError) as error:
        checks.check_criteria(Criteria(metrics, slices, gates.parse(bounds)), data())
    return str(error.value)


BOUND = {"at_least": 0.5}


@pytest.mark.parametrize("bounds", [{}, {"accuracy": BOUND}, {"brier": BOUND}, {"accuracy/group/a": BOUND}])
def test_criteria_that_can_be_evaluated_pass(bounds: dict[str, Any]) -> None:
    checks.check_criteria(Criteria(metrics, ("group",), gates.parse(bounds)), data())


def test_misspelled_metric_is_named_with_those_there_are() -> None:
    said = message((), {"acuracy": BOUND})
    assert said == "model/quality.py: GATES names 'acuracy': metrics() returns no 'acuracy', but accuracy, brier"


def test_group_that_is_none_is_named_with_those_there_are() -> None:
    assert "no group 'group/c' in the hold-out rows; the groups are group/a, group/b" in message(
        ["group"], {"accuracy/group/c": BOUND}
    )
    assert "SLICES is empty" in message((), {"accuracy/group/a": BOUND})


def test_group_that_is_too_small_is_named() -> None:
    assert "the group has 5 hold-out rows" in message(["group"], {"accuracy/group/b": BOUND})


@pytest.mark.parametrize(
    ("slices", "said"),
    [
        ("group", "SLICES is 'group'; it must be a tuple of columns: SLICES = ('group',)"),
        (None, "SLICES is None"),
        (["grup"], "SLICES names 'grup', which is no column of the data: amount, group, pair, label"),
        (["pair"], "SLICES names 'pair', whose values form no groups"),
    ],
)
def test_slices_that_cannot_be_used_are_named(slices: Any, said: str) -> None:
    assert said in message(slices, {})


def test_metrics_that_made_up_predictions_do_not_suit_are_left_to_the_real_ones() -> None:
    def picky(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
        raise ValueError("these are no real predictions")

    checks.check_criteria(Criteria(picky, (), gates.parse({"anything": BOUND})), data())


@pytest.mark.parametrize(
    ("estimator", "said"), [(SVC, r"the class SVC; return an object of it: SVC\(\)"), (7, "int, which has no predict")]
)
def test_what_cannot_predict_is_named(estimator: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        checks.check_estimator(estimator)


@pytest.mark.parametrize("estimator", [LinearSVC(), make_pipeline(StandardScaler(), LinearSVC())])
def test_estimator_without_the_probabilities_of_the_schema_is_named(estimator: Any) -> None:
    with pytest.raises(
        UserError, match=r"LinearSVC has no predict_proba\(\), from which Prediction\.probability comes"
    ):
        checks.check_probabilities(estimator, data())


class Own:
    """Returns what it likes."""


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), RandomForestClassifier(), Own(), make_pipeline(StandardScaler(), Own())]
)
def test_estimator_that_may_give_probabilities_passes(estimator: Any) -> None:
    checks.check_probabilities(estimator, data())


class Short(BaseModel):
    """One of two classes, and a probability too many."""

    label: bool
    probabilities: list[float] = Field(min_length=3, max_length=3)


def test_probabilities_of_another_length_are_named_with_the_classes() -> None:
    with pytest.raises(UserError, match="has the length 3, and the training rows have 2 classes: False, True"):
        checks.check_probabilities(LogisticRegression(), data(Short))


def test_probability_of_three_classes_is_named() -> None:
    with pytest.raises(
        UserError, match=r"the training rows have 3: replace it in model/schema\.py by probabilities: list\[float\]"
    ):
        checks.check_probabilities(LogisticRegression(), data(Three, ["x", "y", "z"] * 20))
