"""Columns against fields: what is unknown, what is missing, and which name was probably meant."""

import json
import time
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel, Field, create_model
from titanic_survival.toolkit.contract import column_names, dataframes
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.json_rows import InvalidRowsError, RowParser


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
MANY: dict[str, Any] = {f"amount_of_kind_{i}": (float | None, None) for i in range(300)}
WIDE = derive(create_model("Row", **MANY), Prediction)
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


@pytest.mark.parametrize("misspelled", ["Amount", "amuont", "amount "])
def test_renamed_required_field_is_named_with_its_column(misspelled: str) -> None:
    row = {misspelled: 1.0, "pixels_0": 0.0, "pixels_1": 0.0, "ticket": 7}
    (violation,) = dataframes.check_features(pd.DataFrame([row]), CONTRACT).violations
    assert violation.field == "amount"
    assert violation.reason.startswith(f"the column is missing ({misspelled!r} is probably 'amount'); expected a")
    (violation,) = dataframes.check_features(pd.DataFrame([{"pixels_0": 0.0, "pixels_1": 0.0}]), CONTRACT).violations
    assert violation.reason.startswith("the column is missing; expected a")


def test_renamed_field_of_a_request_is_named_with_the_field_that_is_meant() -> None:
    rows = [{"amuont": 1.0, "pixels": [0, 0], "ticket": 7}] * 3
    with pytest.raises(InvalidRowsError) as error:
        RowParser(CONTRACT).parse(json.dumps(rows).encode())
    said = {(violation.row, violation.field): violation.reason for violation in error.value.violations}
    assert all("not a field of this model (did you mean 'amount'?)" in said[row, "amuont"] for row in range(3))
    assert said[0, "ticket"].startswith("not a field of this model; its fields are amount")


def test_thousand_unknown_names_cost_little() -> None:
    rows = [{f"amount{i}{'x' * 20}": 1 for i in range(900)}]
    start = time.process_time()
    with pytest.raises(InvalidRowsError):
        RowParser(WIDE).parse(json.dumps(rows).encode())
    assert time.process_time() - start < 0.2


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
