"""Columns against fields: what is unknown, what is missing, and which name was probably meant."""

import time

import pytest
from pydantic import BaseModel, Field
from titanic_survival.toolkit.contract import column_names
from titanic_survival.toolkit.contract.derivation import derive


class Row(BaseModel):
    """A required field, two optional ones, and a vector."""

    amount: float
    passenger_age: float | None = None
    bags: int = 2
    pixels: list[float] = Field(min_length=2, max_length=2)


class Prediction(BaseModel):
    """A label."""

    label: bool


CONTRACT = derive(Row, Prediction)
ALL = ["amount", "passenger_age", "bags", "pixels"]


@pytest.mark.parametrize("names", [ALL, [*ALL, "label"], [*ALL[:3], "pixels_0", "pixels_1"]])
def test_known_columns_are_nothing_to_say(names: list[str]) -> None:
    assert column_names.check(names, CONTRACT).sentences == []


@pytest.mark.parametrize("misspelled", ["PassengerAge", "passenger age", "pasenger_age"])
def test_misspelled_optional_column_is_named_with_the_field(misspelled: str) -> None:
    found = column_names.check(["amount", "bags", "pixels", misspelled], CONTRACT)
    assert f"{misspelled!r} (did you mean 'passenger_age'?)" in found.unknown
    assert "'passenger_age' (missing)" in found.missing
    assert found.misspelled


def test_column_that_resembles_nothing_is_named_alone() -> None:
    found = column_names.check([*ALL, "ticket"], CONTRACT)
    assert found.sentences == ["columns that are no fields of Row are ignored: 'ticket'"]
    assert not found.misspelled


def test_missing_column_is_named_with_its_default() -> None:
    found = column_names.check(["amount", "pixels", "passenger_age"], CONTRACT)
    assert found.sentences == ["fields that have no column get their default in all rows: 'bags' (2)"]


def test_many_long_names_cost_little() -> None:
    names = [f"{number}{'x' * 100}" for number in range(100_000)]
    start = time.process_time()
    found = column_names.check(names, CONTRACT)
    assert time.process_time() - start < 1
    assert "and 99990 more" in found.unknown
    assert len(found.unknown) < 1000
