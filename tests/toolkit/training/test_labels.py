"""Which fields of a prediction are labels: those that the data has, in order, of one type."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field, create_model
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.training import checks, dataset, labels, plots, threshold


class Row(BaseModel):
    """One number."""

    given: float
    shared: bool = False


def contract_of(**fields: Any) -> Contract:
    return derive(Row, create_model("Prediction", **{name: (kind, ...) for name, kind in fields.items()}))


def table(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"given": [1.0, 2.0], "shared": True, **{name: [True, False] for name in names}})


@pytest.mark.parametrize(
    ("fields", "columns", "expected"),
    [
        ({"a": bool, "b": bool}, ["a", "b"], ["a", "b"]),
        ({"a": bool, "b": bool}, ["a"], ["a"]),
        ({"a": bool, "b": bool}, ["b"], []),
        ({"a": bool, "b": bool, "c": bool}, ["a", "c"], ["a"]),
        ({"a": bool, "score": float}, ["a", "score"], ["a"]),
        ({"a": float, "probability": float}, ["a", "probability"], ["a"]),
        ({"a": bool, "shared": bool}, ["a", "shared"], ["a"]),
        ({"a": bool, "b": bool | None}, ["a", "b"], ["a"]),
    ],
)
def test_labels_are_the_first_fields_that_the_data_has(
    fields: dict[str, Any], columns: list[str], expected: list[str]
) -> None:
    found = labels.with_labels(table(*columns), contract_of(**fields))
    assert [label.name for label in found.labels] == expected
    assert found.task == (
        "unsupervised" if not expected else "regression" if fields["a"] is float else "classification"
    )


@pytest.mark.parametrize("name", ["Outlier", "out_lier", "OUTLIER "])
def test_misspelled_label_is_named(name: str) -> None:
    with pytest.raises(UserError, match=rf"outlier is no column of the data \(did you mean '{name}'\?\)"):
        labels.with_labels(table(name), contract_of(outlier=bool))


class NeedsLabel:
    """An estimator that learns a label."""

    def fit(self, frame: pd.DataFrame, label: np.ndarray) -> None:
        """Fit."""


class LearnsAlone:
    """An estimator that learns from the features."""

    def fit(self, frame: pd.DataFrame) -> None:
        """Fit."""


@pytest.mark.parametrize("estimator", [LogisticRegression(), make_pipeline(StandardScaler(), Ridge()), NeedsLabel()])
def test_estimator_that_needs_a_label_is_named(estimator: Any) -> None:
    data = table("is_outlier")
    contract = labels.with_labels(data, contract_of(outlier=bool))
    with pytest.raises(
        UserError, match=r"outlier: the column is missing.*a column 'is_outlier': is it that one"
    ) as error:
        labels.check_fit(estimator, contract, data)
    assert type(getattr(estimator, "steps", [(0, estimator)])[-1][1]).__name__ in str(error.value)
    labels.check_fit(estimator, contract_of(outlier=bool), data)


@pytest.mark.parametrize(
    "estimator", [make_pipeline(StandardScaler(), IsolationForest()), KMeans(), LearnsAlone(), object()]
)
def test_estimator_that_learns_without_label_is_taken(estimator: Any) -> None:
    data = table()
    labels.check_fit(estimator, labels.with_labels(data, contract_of(outlier=bool)), data)


@pytest.mark.parametrize("fields", [{}, {"probabilities": dict[str, float]}, {"probability": float}])
def test_misspelled_label_is_named_before_the_probabilities(fields: dict[str, Any]) -> None:
    said = r"^canceled is no column of the data \(did you mean 'cancelled'\?\), so there is no label"
    with pytest.raises(UserError, match=said) as error:
        labels.with_labels(table("cancelled"), contract_of(canceled=bool, **fields))
    assert "list[float]" not in str(error.value)


def test_missing_label_is_named_before_the_dict() -> None:
    said = "^canceled is no column of the data, so there is no label, which the dict Prediction.probabilities needs"
    with pytest.raises(UserError, match=said):
        labels.with_labels(table(), contract_of(canceled=bool, probabilities=dict[str, float]))


@pytest.mark.parametrize("columns", [[], ["is_canceled"]])
def test_threshold_needs_a_label(columns: list[str]) -> None:
    contract = labels.with_labels(table(*columns), contract_of(canceled=bool))
    guess = r" \(did you mean 'is_canceled'\?\)" if columns else ""
    said = f"^canceled is no column of the data{guess}, so there is no label, which THRESHOLD of model/quality.py needs"
    with pytest.raises(UserError, match=said):
        threshold.check(0.5, contract, columns)


def test_misspelled_second_label_is_named() -> None:
    said = r"colling is no column of the data \(did you mean 'cooling'\?\), so it is no label"
    with pytest.raises(UserError, match=said):
        labels.with_labels(table("heating", "cooling"), contract_of(heating=float, colling=float))


@pytest.mark.parametrize("column", ["load_2", "load_old", "is_load", "cooling"])
def test_column_of_another_thing_is_no_misspelled_label(column: str) -> None:
    found = labels.with_labels(table("heating", column), contract_of(heating=float, load_1=float))
    assert [label.name for label in found.labels] == ["heating"]


def test_dict_needs_classes() -> None:
    with pytest.raises(UserError, match=r"Prediction.probabilities: a dict has the probabilities"):
        labels.with_labels(table("a"), contract_of(a=float, probabilities=dict[str, float]))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"a": bool, "other": dict[str, float]}, "give it that name"),
        ({"a": bool, "probabilities": dict[str, int]}, "a dict must be a dict"),
        ({"a": bool, "probabilities": dict[str, float] | None}, "have it not optional"),
        ({"probabilities": dict[str, float]}, "the label, must be"),
    ],
)
def test_dict_that_is_not_supported_is_named(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        contract_of(**fields)


def test_every_label_needs_two_classes() -> None:
    data = table("a", "b").assign(b=True)
    with pytest.raises(UserError, match="b: the label is True in all 2 rows; two classes are needed"):
        dataset.labelled_rows(data, labels.with_labels(data, contract_of(a=bool, b=bool)))


@pytest.mark.parametrize(
    ("fields", "columns", "reason"),
    [
        ({"a": bool, "b": bool, "probability": float}, ["a", "b"], "Prediction.probability: of several labels"),
        ({"a": bool, "b": bool, "confidence": float}, ["a", "b"], "Prediction.confidence: of several labels"),
    ],
)
def test_probabilities_that_several_labels_have_not_are_named(
    fields: dict[str, Any], columns: list[str], reason: str
) -> None:
    data = table(*columns)
    contract = labels.with_labels(data, contract_of(**fields))
    rows = dataset.labelled_rows(data, contract)
    with pytest.raises(UserError, match=reason):
        checks.check_probabilities(LogisticRegression(), _data(contract, rows))


def test_length_of_the_probabilities_of_several_labels_is_checked() -> None:
    data = table("a", "b")
    three = create_model(
        "Prediction", a=(bool, ...), b=(bool, ...), probabilities=(list[float], Field(min_length=3, max_length=3))
    )
    contract = labels.with_labels(data, derive(Row, three))
    with pytest.raises(UserError, match="length 3, and there are 2 labels"):
        checks.check_probabilities(LogisticRegression(), _data(contract, dataset.labelled_rows(data, contract)))


def _data(contract: Contract, rows: dataset.LabelledRows) -> Any:
    return type("Data", (), {"contract": contract, "training": rows})()


def test_plots_show_each_label_and_predictions_without_label(tmp_path: Any) -> None:
    several = contract_of(a=bool, b=bool).model_copy(update={"label_count": 2})
    marks = np.array([[True, False], [False, True], [True, True]])
    plots.draw(tmp_path, marks, {"a": marks[:, 0], "b": marks[:, 1]}, {"given": 0.1}, several)
    none = contract_of(outlier=bool, score=float).model_copy(update={"label_count": 0})
    predictions = {"outlier": np.array([True, False]), "score": np.array([-1.0, 1.0], np.float32)}
    plots.draw(tmp_path, np.zeros((2, 0)), predictions, {"given": 0.1}, none)
    binary = contract_of(a=bool, probability=float).model_copy(update={"classes": (False, True), "threshold": 0.4})
    probability = np.array([0.9, 0.2, 0.5], np.float32)
    plots.draw(tmp_path, marks[:, 0], {"a": probability > 0.4, "probability": probability}, {"given": 0.1}, binary)
    assert {path.stem for path in tmp_path.iterdir()} == {
        *("confusion_a", "confusion_b", "predictions", "importance", "threshold"),
        *("confusion", "roc", "precision_recall", "calibration"),
    }
