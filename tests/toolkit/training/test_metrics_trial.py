"""The trial of metrics(): what it names before the fit, and what it leaves to the real predictions."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from sklearn.metrics import f1_score
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import dataset, metrics_trial


class Row(BaseModel):
    """One number."""

    amount: float


class Prediction(BaseModel):
    """One of two classes."""

    answer: Literal["no", "yes"]
    probabilities: dict[str, float]


HERE = Path(__file__).parent
TABLE = pd.DataFrame({"amount": np.arange(60.0), "answer": ["no", "yes", "yes"] * 20})


def names(metrics: Any) -> list[str]:
    contract = derive(Row, Prediction)
    rows = dataset.labelled_rows(TABLE, contract)
    return metrics_trial.names(metrics, rows, contract.with_classes(rows.label), HERE)


@pytest.mark.parametrize(("returned", "kind"), [((1, 2), "tuple"), (0.5, "float"), (None, "None")])
def test_metrics_that_return_no_dict_are_named(returned: Any, kind: str) -> None:
    with pytest.raises(UserError, match=rf"quality.py: metrics\(\) returns {kind}, not a dict"):
        names(lambda actual, predictions: returned)


@pytest.mark.parametrize(
    ("metrics", "error"),
    [
        (lambda actual, predictions: {"a": predictions["answr"].size}, "KeyError: 'answr'"),
        (lambda actual, predictions: {"a": predictions.answr.size}, "AttributeError"),
        (lambda actual, predictions: {"a": predictions["probabilities"] > 1}, "TypeError"),
        (lambda actual: {}, "TypeError"),
        (lambda actual, predictions: {"f1": f1_score(actual, predictions["answer"])}, "ValueError: pos_label=1"),
    ],
)
def test_error_that_the_real_predictions_raise_too_is_named_with_what_there_is(metrics: Any, error: str) -> None:
    with pytest.raises(UserError) as named:
        names(metrics)
    said = str(named.value)
    assert said.startswith(f"{HERE.name}/")
    assert error in said
    assert "gets as actual a NumPy array (n,) of str; as predictions a DataFrame with the columns" in said
    assert "answer (str), probabilities (in each row a dict with the keys 'no', 'yes')." in said


def test_place_in_the_file_is_named() -> None:
    with pytest.raises(UserError, match=r"^training/test_metrics_trial.py, line \d+: KeyError"):
        names(lambda actual, predictions: {"a": predictions["answr"].size})


def _certain(predictions: pd.DataFrame) -> float:
    large = pd.Series([max(row.values()) > 0.6 for row in predictions["probabilities"]]).map({True: "sure"})
    return float(large.value_counts()["sure"])


def _raise(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize(
    "metrics",
    [
        lambda actual, predictions: {"sure": _certain(predictions)},
        lambda actual, predictions: _raise(ValueError("these are no real predictions")),
        lambda actual, predictions: _raise(KeyError("elsewhere")),
        lambda actual, predictions: _raise(AssertionError()),
        lambda actual, predictions: _raise(ZeroDivisionError()),
    ],
)
def test_error_that_may_be_of_the_made_up_predictions_is_left_to_the_real_ones(metrics: Any) -> None:
    assert names(metrics) == []


def test_names_are_those_of_the_dict() -> None:
    assert names(lambda actual, predictions: {"a": 1, "b": np.nan}) == ["a", "b"]
    assert names(lambda actual, predictions: pd.Series({"a": 1})) == ["a"]
