"""DataFrames and CSV text: the same values pass as in JSON."""

import json
import random
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field, create_model
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.json_rows import InvalidRowsError, RowParser
from titanic_survival.toolkit.contract.schema import MISSING_TEXTS, Contract

DICE = random.Random(0)
NUMBERS: list[Any] = [0, -0.0, 3, 3.0, 2.5, -5, -5.5, 10, 10.0000001, 99, 100, 1e-50, 3.000000001, 16777215.99]
NUMBERS += [2**24, 2**24 + 1, -(2**24) - 1, 2**63, 10**30, 10**400, 3.4e38, 3.5e38, 1e39, -1e39]
NUMBERS += [DICE.gauss(0, 10.0 ** DICE.randint(-3, 40)) for _ in range(100)]
NUMBERS += [DICE.randint(-200, 200) for _ in range(50)]
#: No text of digits, and no 0 or 1 where a truth value belongs: files write numbers and truth values so, JSON does not.
TEXTS: list[Any] = ["a", "b", "c", "A", "true truth", "1.5.1", "[", "{}"]
VECTORS: list[Any] = [[0, 1, 0.5], [0, 1], [0, 1, 0, 1], [0, 1, 1.5], [], [[0, 1, 0]], [0, None, 0], [0, "1", 0]]
VECTORS += [[True, 0, 1], [1e39, 0, 0], [10**30, 0, 0], [0, 1, {}]]
TIMES: list[Any] = ["2026-01-31", "2024-02-29", "2023-02-29", "0001-01-01", "9999-12-31", "2026-1-31", "31.01.2026"]
TIMES += ["2026-01-31T18:30:00", "2026-01-31T18:30:00Z", "2026-01-31 18:30:00.123456", "2026-01-31T18:30:00+02:00"]
TIMES += ["2026-01-31T25:00:00", "2026-01-31T00:00:00", "18:30:00", "18:30", "00:15:00", "18:30:00+02:00", "24:00:01"]
TIMES += [
    "P1D",
    "PT6H30M",
    "-P1DT1S",
    "P1M",
    "P1Y",
    "PT0.5S",
    "1 day",
    "1 days 06:30:00",
    "P",
    "20260131",
    "2026-W05-6",
]
TIMES += ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "P16777216D", "P16777217D", "-P999999999DT1S"]
TRUTHS: list[Any] = [True, False]
NOTHING: list[Any] = [None]

FIELDS: dict[str, tuple[Any, list[Any]]] = {
    "number": ((float, ...), [*NUMBERS, *TEXTS, *VECTORS, *TRUTHS, *NOTHING]),
    "maybe_number": ((float | None, ...), [*NUMBERS, *TEXTS, *VECTORS, *TRUTHS, *NOTHING]),
    "bounded": ((float, Field(ge=-5.5, lt=100)), [*NUMBERS, *NOTHING]),
    "outside": ((float | None, Field(gt=2.5, le=10)), [*NUMBERS, *NOTHING]),
    "count": ((int, ...), [*NUMBERS, *TEXTS, *VECTORS, *TRUTHS, *NOTHING]),
    "maybe_count": ((int | None, Field(ge=-5, lt=100)), [*NUMBERS, *TRUTHS, *NOTHING]),
    "truth": ((bool, ...), [*TRUTHS, *TEXTS, *VECTORS, 2, 2.5, *NOTHING]),
    "maybe_truth": ((bool | None, ...), [*TRUTHS, *TEXTS, *NOTHING]),
    "category": ((Literal["a", "b", "1.5.1"], ...), [*TEXTS, *TRUTHS, *NUMBERS, *NOTHING]),
    "maybe_category": ((Literal["a", "b"] | None, ...), [*TEXTS, *NOTHING]),
    "vector": ((list[float], Field(min_length=3, max_length=3)), [*VECTORS, *TEXTS, *NUMBERS, *TRUTHS, *NOTHING]),
    "maybe_vector": ((list[float] | None, Field(min_length=3, max_length=3)), [*VECTORS, *TEXTS, *NOTHING]),
    "matrix": (
        (list[Annotated[list[float], Field(min_length=2, max_length=2)]], Field(min_length=3, max_length=3)),
        [*VECTORS, [[0, 1], [2, 3], [4, 5]], [[0, 1], [2, 3]], [[0, 1], [2], [4, 5]], [[0, 1], [2, "3"], [4, 5]]],
    ),
    "decimal": ((Decimal, Field(ge=0)), [*NUMBERS, *TEXTS, *TRUTHS, *NOTHING]),
    "text": ((str, Field(max_length=12)), [*TEXTS, "x" * 12, "x" * 13, "äöü", " ", *NOTHING]),
    "maybe_text": ((str | None, Field(max_length=12)), [*TEXTS, *NOTHING]),
    "key": ((Annotated[str, "key"], Field(min_length=2, max_length=5)), [*TEXTS, "02134", *NOTHING]),
    "whole_key": (
        (Annotated[int, "key"], ...),
        [2, -2, 3.0, 3.5, 2.0**53 - 1, 2**53 + 1, 2**63 - 1, 2**63, "9" * 5000, *TEXTS, *NOTHING],
    ),
    "maybe_whole_key": ((Annotated[int, "key"] | None, ...), [2, *TEXTS, *TRUTHS, *NOTHING]),
    "date": ((date, ...), [*TIMES, *TEXTS, *NOTHING]),
    "bounded_date": ((date | None, Field(ge=date(2024, 2, 29))), [*TIMES, *NOTHING]),
    "datetime": ((datetime, ...), [*TIMES, *TEXTS, *NOTHING]),
    "bounded_datetime": ((datetime | None, Field(lt=datetime(2026, 1, 31, 18))), [*TIMES, *NOTHING]),
    "time": ((time, Field(ge=time(1))), [*TIMES, *TEXTS, *NOTHING]),
    "duration": ((timedelta, Field(ge=timedelta(0))), [*TIMES, *TEXTS, *NOTHING]),
    "maybe_duration": ((timedelta | None, ...), [*TIMES, *NOTHING]),
    "bounded_vector": ((list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=3, max_length=3)), VECTORS),
}


class Prediction(BaseModel):
    """Any label."""

    label: bool


def contract_of(**fields: Any) -> Contract:
    return derive(create_model("Row", **fields), Prediction)


def as_text(value: Any) -> str:
    """Return a value as a CSV file has it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def from_json(field: str, value: Any, contract: Contract) -> np.ndarray | None:
    """Return what becomes of one value in a request, None where it is refused."""
    try:
        return RowParser(contract).parse(json.dumps([{field: value}]).encode())[1][field][0]
    except InvalidRowsError:
        return None


def from_table(field: str, frame: pd.DataFrame, contract: Contract) -> list[np.ndarray | None]:
    """Return what becomes of the values of one column, None where they are refused."""
    checked = dataframes.check_features(frame, contract)
    good = checked.valid_rows(len(frame))
    return [value if passed else None for value, passed in zip(checked.columns[field], good, strict=True)]


@pytest.mark.parametrize("form", ["objects", "text"])
@pytest.mark.parametrize("field", FIELDS)
def test_table_takes_what_json_takes(field: str, form: str) -> None:
    kind, values = FIELDS[field]
    contract = contract_of(**{field: kind})
    from_rows = [from_json(field, value, contract) for value in values]
    cells = pd.Series([as_text(v) for v in values], dtype="str") if form == "text" else pd.Series(values, dtype=object)
    frame = pd.DataFrame({field: cells})
    # All values in one column, as they meet each other in a file, and each on its own.
    heard = from_table(field, frame, contract)
    alone = [from_table(field, frame.iloc[[i]], contract)[0] for i in range(len(values))]
    answers = zip(map(repr, from_rows), map(repr, heard), map(repr, alone), strict=True)
    differ = [value for value, given in zip(values, answers, strict=True) if len(set(given)) > 1]
    assert differ == []


@pytest.mark.parametrize("text", sorted(MISSING_TEXTS))
def test_ways_to_write_a_missing_value(text: str) -> None:
    frame = pd.DataFrame({"maybe": [text], "maybe_category": [text]})
    contract = contract_of(maybe=(float | None, ...), maybe_category=(Literal["a"] | None, ...))
    columns, violations = dataframes.check_features(frame, contract)
    assert not violations
    assert np.isnan(columns["maybe"][0])
    assert columns["maybe_category"][0] == ""
    strict = contract_of(maybe=(float, ...), maybe_category=(Literal["a"], ...))
    assert [violation.field for violation in dataframes.check_features(frame, strict).violations] == [
        "maybe",
        "maybe_category",
    ]


def test_allowed_word_is_never_taken_for_a_missing_value() -> None:
    contract = contract_of(category=(Literal["NA", "EU"] | None, ...))
    columns, _ = dataframes.check_features(pd.DataFrame({"category": ["NA", "EU"]}), contract)
    assert columns["category"].tolist() == ["NA", "EU"]


@pytest.mark.parametrize("text", ["inf", "-Infinity", "1e400", "0x10", "1_000", "1,5", "2020-01-01"])
def test_text_that_is_no_finite_number_is_refused(text: str) -> None:
    assert dataframes.check_features(pd.DataFrame({"given": [text]}), contract_of(given=(float, ...))).violations


def test_date_is_no_number() -> None:
    frame = pd.DataFrame({"given": pd.to_datetime(["2020-01-01"])})
    assert dataframes.check_features(frame, contract_of(given=(float, ...))).violations


def test_missing_column_takes_its_default_or_is_named() -> None:
    contract = contract_of(needed=(float, ...), spare=(int, 7), maybe=(Literal["a"] | None, None))
    columns, violations = dataframes.check_features(pd.DataFrame({"other": [1, 2]}), contract)
    assert [(violation.row, violation.field) for violation in violations] == [(None, "needed")]
    assert columns["spare"].tolist() == [7, 7]
    assert columns["maybe"].tolist() == ["", ""]


def test_column_that_stands_twice_is_named() -> None:
    frame = pd.DataFrame([[1.0, 2.0]], columns=["given", "given"])
    assert [
        violation.field for violation in dataframes.check_features(frame, contract_of(given=(float, ...))).violations
    ] == ["given"]


def test_every_bad_row_is_named_at_once_and_no_other() -> None:
    contract = contract_of(number=(float, ...), category=(Literal["a"], ...))
    frame = pd.DataFrame({"number": [1, "x", 3, None], "category": ["a", "a", "b", "c"]}, index=[9, 9, 9, 9])
    checked = dataframes.check_features(frame, contract)
    assert sorted((violation.row, violation.field) for violation in checked.violations) == [
        (1, "number"),
        (2, "category"),
        (3, "category"),
        (3, "number"),
    ]
    assert checked.valid_rows(4).tolist() == [True, False, False, False]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "Int64", "str", "object", "category"])
def test_type_of_a_column_does_not_matter(dtype: str) -> None:
    frame = pd.DataFrame({"given": pd.Series([0, 1, 2]).astype(dtype)})
    columns, violations = dataframes.check_features(frame, contract_of(given=(int, ...)))
    assert not violations
    assert columns["given"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["float64", "str"])
def test_vector_may_be_spread_over_columns(dtype: str) -> None:
    contract = contract_of(v=(list[float], Field(min_length=2, max_length=2)))
    frame = pd.DataFrame({"v_0": [1.0, 3.0], "v_1": [2.0, 4.0]}).astype(dtype)
    columns, violations = dataframes.check_features(frame, contract)
    assert not violations
    assert columns["v"].tolist() == [[1, 2], [3, 4]]


def test_endless_nesting_is_a_bad_value() -> None:
    contract = contract_of(v=(list[float], Field(min_length=2, max_length=2)))
    assert dataframes.check_features(pd.DataFrame({"v": ["[" * 100_000]}), contract).violations


def test_model_sees_the_columns_of_the_contract(contract: Contract, rows: list[dict[str, Any]]) -> None:
    frame = dataframes.as_frame(dataframes.check_features(pd.DataFrame(rows), contract).columns, contract)
    assert list(frame.columns) == contract.model_columns
    assert len(frame) == len(rows)


class Repeated(BaseModel):
    """Fields whose values mostly repeat."""

    kind: Literal["a", "b"] | None = None
    known: bool | None = None
    zip_code: Annotated[str, "key"] | None = None
    day: date | None = None


REPEATED = {
    "kind": ["a", "b", None, "c", "NA"],
    "known": ["true", "0", None, "perhaps", "1.0"],
    "zip_code": ["01234", "1", None, "x" * 300, ""],
    "day": ["2026-01-31", "2025-12-01", None, "tomorrow", "NULL"],
}


@pytest.mark.parametrize("dtype", ["str", object, "category"])
def test_many_rows_are_checked_as_few_are(dtype: Any) -> None:
    contract = derive(Repeated, Prediction)
    few = pd.DataFrame(REPEATED, dtype=object).astype(dtype)
    many = pd.concat([few] * 1000, ignore_index=True)
    expected, found = (dataframes.check_features(table, contract) for table in (few, many))
    for name, array in expected.columns.items():
        np.testing.assert_array_equal(found.columns[name][-5:], array)
        assert found.columns[name].dtype == array.dtype
    assert [v._replace(row=None) for v in found.violations if v.row >= 4995] == [
        v._replace(row=None) for v in expected.violations
    ]


def test_rows_with_the_same_category_share_one_object() -> None:
    values = pd.DataFrame({"kind": pd.Series(["a", "b"] * 5000, dtype="str")})
    array = dataframes.check_features(values, derive(Repeated, Prediction)).columns["kind"]
    assert len({id(value) for value in array}) == 2


@pytest.mark.parametrize(
    "values", [pd.Series([True, False] * 1000), pd.Series([1, 0] * 1000), pd.Series([1.0, 0] * 1000)]
)
def test_bools_that_are_numbers_are_checked_without_texts(values: pd.Series) -> None:
    array = dataframes.check_features(pd.DataFrame({"known": values}), derive(Repeated, Prediction))
    assert array.violations == []
    np.testing.assert_array_equal(array.columns["known"], values.to_numpy(np.float32))
