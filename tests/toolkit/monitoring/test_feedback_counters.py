"""What is counted of actual labels: confusion counts, sums of errors."""

import math
from typing import Any

import numpy as np
from titanic_survival.toolkit.contract.schema import FieldSpec
from titanic_survival.toolkit.monitoring import feedback_counters, metrics, prediction_ids


def count(kind: Any, predicted: Any, actual: Any, **more: Any) -> None:
    """Count one actual label of version 77."""
    label = FieldSpec(name="label", kind=kind, **more)
    (code,) = prediction_ids.codes(np.array([predicted], object if kind == "category" else None), label)
    feedback_counters.count(prediction_ids.DecodedId(77, (code,)), [label], [actual])


def test_classes_are_counted_by_predicted_and_actual() -> None:
    for predicted, actual in [(True, True), (True, False), (True, True)]:
        count("bool", predicted, actual)
    count("category", "low", "high", categories=("low", "high"))
    count("int", 123456, 5)
    counts = {
        tuple(sample.labels[name] for name in ("predicted", "actual", "correct")): sample.value
        for sample in metrics.FEEDBACK_ROWS.collect()[0].samples
        if sample.labels["version"] == "77" and sample.name.endswith("_total")
    }
    assert counts == {
        ("true", "true", "true"): 2,
        ("true", "false", "false"): 1,
        ("low", "high", "false"): 1,
        ("other", "other", "false"): 1,
    }


def test_numbers_that_no_version_has_make_no_series_without_end() -> None:
    label = FieldSpec(name="label", kind="bool")
    (code,) = prediction_ids.codes(np.array([True]), label)
    for number in range(1000, 2000):
        feedback_counters.count(prediction_ids.DecodedId(number, (code,)), [label], [True], served=False)
    samples = [s for s in metrics.FEEDBACK_ROWS.collect()[0].samples if s.name.endswith("_total")]
    made = [
        sample for sample in samples if sample.labels["version"].isdigit() and int(sample.labels["version"]) >= 1000
    ]
    assert len(made) <= feedback_counters.MAX_UNSERVED_VERSIONS
    assert sum(s.value for s in samples if s.labels["version"] == "other") >= 900


def test_errors_of_a_regression_are_summed() -> None:
    counters = [metrics.ABSOLUTE_ERROR.labels(77), metrics.SQUARED_ERROR.labels(77)]
    before = [counter._value.get() for counter in counters]
    for predicted, actual in [(1.5, 3.5), (5.0, 4.0), (math.nan, 1.0)]:
        count("float", predicted, actual)
    assert [counter._value.get() - then for counter, then in zip(counters, before, strict=True)] == [3, 5]


def test_several_labels_are_counted_as_one() -> None:
    numbers = [FieldSpec(name=name, kind="float") for name in ("height", "width")]
    counters = [metrics.ABSOLUTE_ERROR.labels(78), metrics.SQUARED_ERROR.labels(78)]
    before = [counter._value.get() for counter in counters]
    codes = tuple(prediction_ids.codes(np.array([1.0, 5.0]), numbers[0]))
    feedback_counters.count(prediction_ids.DecodedId(78, codes), numbers, [2.0, 2.0])
    assert [counter._value.get() - then for counter, then in zip(counters, before, strict=True)] == [2, 5]
    marks = [FieldSpec(name=name, kind="bool") for name in ("cat", "dog")]
    codes = tuple(prediction_ids.codes(np.array([True, False]), marks[0]))
    for actual in ([True, False], [True, True], [True, False]):
        feedback_counters.count(prediction_ids.DecodedId(79, codes), marks, actual)
    found = {
        correct: metrics.FEEDBACK_ROWS.labels(79, "other", "other", correct)._value.get()
        for correct in ("true", "false")
    }
    assert found == {"true": 2, "false": 1}
