"""Forests with more numbers than ONNX takes in a minute: they are counted, not converted."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training.export import onnx_export, size

CLASSES = [f"c{i}" for i in range(20)]
FRAME = pd.DataFrame({"amount": np.random.default_rng(0).normal(size=400).astype(np.float32)})
LABEL = np.array(CLASSES, dtype=object)[np.arange(400) % 20]


class Row(BaseModel):
    """One number."""

    amount: float


class Prediction(BaseModel):
    """One of many classes."""

    label: Literal[tuple(CLASSES)]


@pytest.mark.parametrize(
    ("estimator", "values"),
    [
        (DecisionTreeClassifier(max_leaf_nodes=7), 7 * 20),
        (make_pipeline(StandardScaler(), RandomForestClassifier(3, max_leaf_nodes=5)), 3 * 5 * 20),
        (LogisticRegression(), 0),
    ],
)
def test_leaves_are_counted_once_for_each_class(estimator: Any, values: int) -> None:
    assert size.leaf_values(estimator.fit(FRAME, LABEL)) == values


def test_leaves_of_a_regression_have_one_number() -> None:
    forest = ExtraTreesRegressor(4, max_leaf_nodes=3).fit(FRAME, FRAME["amount"])
    assert size.leaf_values(forest) == 12


def test_forest_that_is_too_large_is_served_by_python_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = RandomForestClassifier(3, max_leaf_nodes=5).fit(FRAME, LABEL)
    contract, columns = derive(Row, Prediction).with_classes(LABEL), {"amount": FRAME["amount"].to_numpy()}
    assert onnx_export.export(forest, contract, columns).model
    monkeypatch.setattr(size, "MOST_VALUES", 299)
    found = onnx_export.export(forest, contract, columns)
    assert found.model is None
    assert "leaves times classes" in found.note
