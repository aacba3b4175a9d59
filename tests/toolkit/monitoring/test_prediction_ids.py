"""Ids of predictions."""

from typing import Any

import numpy as np
import pytest
from titanic_survival.toolkit.contract.schema import FieldSpec
from titanic_survival.toolkit.monitoring import prediction_ids

LABELS: dict[str, tuple[FieldSpec, list[Any]]] = {
    "float": (FieldSpec(name="label", kind="float"), [1.5, -3.25e9, 0.1, float("nan")]),
    "int": (FieldSpec(name="label", kind="int"), [0, 7, -(2**24)]),
    "bool": (FieldSpec(name="label", kind="bool"), [False, True]),
    "category": (FieldSpec(name="label", kind="category", categories=("low", "high", "größer")), ["größer", "low"]),
}


@pytest.mark.parametrize("kind", LABELS)
def test_id_holds_version_and_label(kind: str) -> None:
    label, values = LABELS[kind]
    array = np.array(values, object if kind == "category" else None)
    made = prediction_ids.IdGenerator("ours", 12, label).make({label.name: array})
    assert [prediction_ids.decode(text, "ours") for text in made] == [
        prediction_ids.DecodedId(12, (code,)) for code in prediction_ids.codes(array, label)
    ]
    assert len(set(prediction_ids.codes(array, label))) == len(values)


def test_number_comes_back_as_it_was_predicted() -> None:
    label, values = LABELS["float"]
    found = [prediction_ids.number_of(code) for code in prediction_ids.codes(np.array(values, np.float32), label)]
    assert np.array_equal(found, np.array(values, np.float32), equal_nan=True)


def test_ids_differ_within_and_between_requests() -> None:
    label, _ = LABELS["bool"]
    maker = prediction_ids.IdGenerator("ours", 1, label)
    made = [text for _ in range(50) for text in maker.make({label.name: np.ones(50, np.bool_)})]
    assert len(set(made)) == 2500


def test_text_that_is_not_an_id_of_this_model_is_not_decoded() -> None:
    label, _ = LABELS["bool"]
    (text,) = prediction_ids.IdGenerator("ours", 3, label).make({label.name: np.array([True])})
    changed = "1" if text[9] == "0" else "0"
    for other in (
        text[:9] + changed + text[10:],
        text[:-2],
        text + "00",
        "",
        "x",
        "ä" * 40,
        " " + text,
        text[:2] + " " * 10**6 + text[2:],
    ):
        assert prediction_ids.decode(other, "ours") is None
    assert prediction_ids.decode(text, "ours") is not None
    assert prediction_ids.decode(text, "another model") is None


def test_id_holds_several_labels() -> None:
    fields = [FieldSpec(name=name, kind="float") for name in ("height", "width", "depth")]
    made = prediction_ids.IdGenerator("ours", 4, *fields).make(
        {field.name: np.array([i, i + 0.5], np.float32) for i, field in enumerate(fields)}
    )
    decoded = [prediction_ids.decode(text, "ours") for text in made]
    assert [found and [prediction_ids.number_of(code) for code in found.codes] for found in decoded] == [
        [0, 1, 2],
        [0.5, 1.5, 2.5],
    ]
    assert prediction_ids.decode(made[0][:-16] + made[0][-8:], "ours") is None


def test_classes_have_names_unless_there_are_too_many() -> None:
    label, _ = LABELS["category"]
    assert sorted(prediction_ids.class_names(label, 3).values()) == ["größer", "high", "low"]
    assert prediction_ids.class_names(label, 2) == {}
    assert sorted(prediction_ids.class_names(LABELS["bool"][0], 20).values()) == ["false", "true"]
    digit = FieldSpec(name="digit", kind="int", at_least=0, at_most=9)
    assert prediction_ids.class_names(digit, 20)[prediction_ids.codes(np.array([7]), digit)[0]] == "7"
    assert prediction_ids.class_names(FieldSpec(name="count", kind="int", at_least=0, at_most=10_000), 20) == {}
    assert prediction_ids.class_names(LABELS["int"][0], 20) == {}
