"""The checks of training data before anything is fitted on it."""

from typing import Any, Literal

import pandas as pd
import pytest
from pydantic import BaseModel, Field
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import dataset


class Row(BaseModel):
    """Two numbers."""

    amount: float = Field(le=10)
    count: int


class Prediction(BaseModel):
    """One of two classes."""

    label: bool


CONTRACT = derive(Row, Prediction)
GOOD = pd.DataFrame({"amount": [1.0, 2.0, 3.0, 4.0], "count": [1, 2, 3, 4], "label": [True, False, True, False]})


def message(table: Any, part: Any = "") -> str:
    with pytest.raises(UserError) as error:
        dataset.labelled_rows(table, CONTRACT, part)
    return str(error.value)


def test_good_rows_pass_whatever_their_index() -> None:
    rows = dataset.labelled_rows(GOOD.set_index(pd.Index([5, 5, 6, 6])), CONTRACT)
    assert rows.label.tolist() == [True, False, True, False]
    assert rows.columns["amount"].tolist() == [1, 2, 3, 4]
    assert rows.table.index.tolist() == [0, 1, 2, 3]


def test_each_column_is_listed_with_its_count_and_examples() -> None:
    said = message(GOOD.assign(amount=[11.0, 1.0, None, 12.0], count=["x", 1, 2, 3]))
    assert "amount: 3 of 4 rows (row 0: 11.0, row 2: missing, row 3: 12.0); expected a number" in said
    assert "count: 1 of 4 rows (row 0: 'x'); expected a whole number" in said


def test_whole_numbers_that_float32_does_not_hold_get_a_cure() -> None:
    cure = 'count: for numbers beyond 16777216 declare it in model/schema.py as Annotated[int, "key"] if they are names'
    assert f"{cure}, or as float" in message(GOOD.assign(count=[1, 2, 3, 2**24 + 1]))
    assert cure not in message(GOOD.assign(count=[1, 2, 3, 0.5]))


def test_long_list_of_examples_is_cut() -> None:
    assert "amount: 4 of 4 rows (row 0: 11.0, row 1: 11.0, row 2: 11.0, ...)" in message(GOOD.assign(amount=11.0))


def test_label_is_checked_too() -> None:
    assert "label: 1 of 4 rows (row 1: missing)" in message(GOOD.assign(label=[True, None, True, False]))


def test_label_of_one_class_is_named() -> None:
    assert "label: the label is True in all 4 rows" in message(GOOD.assign(label=True))


@pytest.mark.parametrize("column", ["amount", "label"])
def test_missing_column_is_named(column: str) -> None:
    assert f"{column}: the column is missing" in message(GOOD.drop(columns=column))


def test_table_without_rows_is_named() -> None:
    assert "load() returned no rows" in message(GOOD.head(0))


@pytest.mark.parametrize("part", ["training", "hold-out"])
def test_part_without_rows_is_named(part: str) -> None:
    assert f"model/data.py: split() returned no {part} rows" in message(GOOD.head(0), part)


def test_table_with_rows_and_without_columns_has_rows() -> None:
    assert "the column is missing" in message(pd.DataFrame(index=range(3)))


def test_part_of_one_class_is_named() -> None:
    assert "the label is True in all 4 training rows" in message(GOOD.assign(label=True), "training")


class Wine(BaseModel):
    """A cultivar."""

    cultivar: Literal["barbera", "barolo", "grignolino"]


WINES = pd.DataFrame(
    {"amount": 1.0, "count": 1, "cultivar": ["barbera"] * 60 + ["grignolino"] * 60 + ["barolo"] * 59},
)


def test_class_of_the_holdout_rows_that_no_training_row_has_is_named() -> None:
    with pytest.raises(UserError, match=r"no training row of some classes of cultivar.*'barolo' in 59 hold-out rows"):
        dataset.split_rows((WINES[:120], WINES[120:]), derive(Row, Wine))


def test_class_that_is_in_few_holdout_rows_only_is_a_warning() -> None:
    training, holdout, warning = dataset.split_rows((WINES[:120], WINES[110:121]), derive(Row, Wine))
    assert (len(training.label), len(holdout.label)) == (120, 11)
    assert "'barolo' in 1 hold-out rows" in warning


def test_classes_on_both_sides_are_nothing_to_say() -> None:
    assert dataset.split_rows((WINES, WINES), derive(Row, Wine))[2] == ""


@pytest.mark.parametrize(("parts", "said"), [(WINES, "DataFrame"), ((WINES,), "1 parts"), ((WINES,) * 3, "3 parts")])
def test_split_into_another_number_of_parts_is_named(parts: Any, said: str) -> None:
    with pytest.raises(UserError, match=rf"split\(\) returned {said}; it must return training rows and hold-out rows"):
        dataset.split_rows(parts, derive(Row, Wine))


def test_something_else_than_a_table_is_named() -> None:
    assert "list" in message([{"amount": 1}])


class OptionalRow(BaseModel):
    """Fields that may be missing."""

    amount: float | None = None
    group: Literal["a", "b"] | None = None
    bags: int = 0


OPTIONAL = derive(OptionalRow, Prediction)
FULL = pd.DataFrame({"amount": [1.0, None], "group": ["a", None], "bags": [1, 2], "label": [True, False]})


def optional_message(table: pd.DataFrame, part: Any = "") -> str:
    with pytest.raises(UserError) as error:
        dataset.labelled_rows(table, OPTIONAL, part)
    return str(error.value)


@pytest.mark.parametrize("field", ["amount", "group"])
@pytest.mark.parametrize("part", ["", "training"])
def test_field_that_is_missing_in_all_rows_is_an_error(field: str, part: Any) -> None:
    assert f"{field}: missing in all 2 rows" in optional_message(FULL.assign(**{field: None}), part)


def test_field_without_a_column_is_an_error_and_names_the_misspelled_one() -> None:
    said = optional_message(FULL.rename(columns={"bags": "Bag"}))
    assert "bags: missing in all 2 rows" in said
    assert "The data has a column 'Bag': is it that one?" in said


def test_field_that_is_missing_in_the_holdout_rows_only_is_no_error() -> None:
    assert len(dataset.labelled_rows(FULL.assign(amount=None), OPTIONAL, "hold-out").label) == 2
