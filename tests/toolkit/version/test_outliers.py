"""Outliers: what is called one, and how much of what is none."""

import numpy as np
import pytest
from titanic_survival.toolkit.contract.columns import Columns
from titanic_survival.toolkit.contract.schema import FieldSpec
from titanic_survival.toolkit.version import binning, large_arrays, outliers

ROWS = 4000
CATEGORIES = tuple("abcdefgh")


def drawn(seed: int, rows: int = ROWS) -> Columns:
    """Return rows of a normal, a skewed and a missing number, and of categories of which some are rare."""
    random = np.random.default_rng(seed)
    rare = np.array([0.3, 0.3, 0.3, 0.07, 0.01, 0.01, 0.005, 0.005])
    columns = {
        "normal": random.normal(50, 10, rows),
        "skewed": np.exp(random.normal(0, 1.5, rows)),
        "missing": np.where(random.random(rows) < 0.3, np.nan, random.random(rows)),
    }
    categories = {
        name: random.choice(np.array(CATEGORIES, object), rows, p=rare) for name in ("first", "second", "third")
    }
    return {name: array.astype(np.float32) for name, array in columns.items()} | categories


TRAINING = drawn(0)
FEATURES = {
    name: binning.make(
        FieldSpec(name=name, kind="category", categories=CATEGORIES)
        if array.dtype == object
        else FieldSpec(name=name, kind="float", nullable=True),
        array,
    )
    for name, array in TRAINING.items()
}
DETECTOR = outliers.fit(FEATURES, TRAINING, drawn(1))
ORDINARY = {"normal": 50, "skewed": 1, "missing": 0.5, "first": "a", "second": "b", "third": "c"}


def found(columns: Columns) -> np.ndarray:
    return DETECTOR.is_outlier(
        FEATURES, columns, {name: array.assign(columns[name]) for name, array in FEATURES.items()}
    )


def test_training_and_new_rows_are_outliers_as_often_as_said() -> None:
    assert found(TRAINING).mean() == pytest.approx(outliers.TRAINING_RATE, abs=0.002)
    assert found(drawn(2)).mean() == pytest.approx(DETECTOR.rate, abs=0.006)
    assert DETECTOR.rate == pytest.approx(outliers.TRAINING_RATE, abs=0.006)


@pytest.mark.parametrize(
    ("strange", "outlier"),
    [
        ({}, False),
        ({"missing": np.nan}, False),
        ({"normal": 70, "skewed": 8}, False),
        ({"first": "h"}, False),
        ({"normal": 200}, True),
        ({"normal": -100}, True),
        ({"skewed": 1e30}, True),
        ({"missing": 5}, True),
        ({"first": "h", "second": "g", "third": "h"}, True),
    ],
)
def test_values_far_outside_and_rare_words_together_are_outliers(strange: dict[str, object], outlier: bool) -> None:
    row = {name: np.array([value], TRAINING[name].dtype) for name, value in {**ORDINARY, **strange}.items()}
    assert found(row).tolist() == [outlier]


def test_a_value_that_many_have_does_not_make_up_for_two_that_few_have() -> None:
    capped = {"normal": np.minimum(TRAINING["normal"], 50)}
    columns = {name: TRAINING[name] for name in ("first", "second")} | capped
    features = {name: FEATURES[name] for name in ("first", "second")}
    features["normal"] = binning.make(FieldSpec(name="normal", kind="float"), capped["normal"])
    detector = outliers.fit(features, columns, columns)
    row = {"normal": np.array([50], np.float32)} | {name: np.array(["h"], object) for name in ("first", "second")}
    positions = {name: array.assign(row[name]) for name, array in features.items()}
    assert detector.is_outlier(features, row, positions).tolist() == [True]


def test_one_row_is_enough_to_learn_from() -> None:
    columns = {"x": np.array([1], np.float32)}
    features = {"x": binning.make(FieldSpec(name="x", kind="float"), columns["x"])}
    detector = outliers.fit(features, columns, columns)
    row = {"x": np.array([1, 500, np.nan], np.float32)}
    assert detector.is_outlier(features, row, {"x": features["x"].assign(row["x"])}).tolist() == [False, True, True]
    assert outliers.OutlierDetector.model_validate_json(detector.model_dump_json()) == detector


def test_rates_from_some_of_many_rows_are_nearly_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_arrays, "MOST_ROWS", 3000)
    many = drawn(0, 10 * ROWS)
    detector = outliers.fit(FEATURES, many, drawn(1, 10 * ROWS))
    positions = {name: bins.assign(many[name]) for name, bins in FEATURES.items()}
    assert detector.is_outlier(FEATURES, many, positions).mean() == pytest.approx(outliers.TRAINING_RATE, abs=0.005)
    assert detector.rate == pytest.approx(outliers.TRAINING_RATE, abs=0.006)
