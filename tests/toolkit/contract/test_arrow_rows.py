"""Arrow batches: the same columns and violations as of a DataFrame, whatever the types and values of a file."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
import pytest
from pydantic import BaseModel, Field, create_model
from titanic_survival.toolkit.contract import arrow_rows, dataframes
from titanic_survival.toolkit.contract.dataframes import CheckResult
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.schema import MISSING_TEXTS, Contract

#: Numbers as files have them in text, and what only looks like one.
NUMBERS = [
    "0",
    "-0",
    "-0.0",
    "1",
    "1.0",
    "007",
    "3",
    "10",
    "99.99999",
    "100",
    "-5.5",
    "16777216",
    "16777217",
    "1.",
    ".5",
]
NUMBERS += [
    "1e3",
    "1E3",
    "1e-50",
    "1e400",
    "-1e400",
    "1e",
    "e5",
    "3.4e38",
    "3.5e38",
    "+1",
    "-",
    "+",
    "--1",
    "- 1",
    "1-",
]
NUMBERS += [
    " 1",
    "1 ",
    "\t1",
    "1\n",
    "1_000",
    "1,5",
    "1 000",
    "0x10",
    "0b1",
    "1f",
    "1.5.1",
    "1e5.0",
    "٣",
    "\uff11",
    "½",
]
NUMBERS += ["inf", "-inf", "+inf", "Inf", "INF", "infinity", "-Infinity", "nan ", "NAN", "Nan", "9" * 16, "9" * 25]
NUMBERS += ["9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1" * 400]
NUMBERS += ["0." + "1" * 400, "12.0", "12.00", "-7.0", "1e2.0", "0.1", "0.30000000000000004", "2.2250738585072014e-308"]
TRUTHS = ["True", "true", "TRUE", "False", "FALSE", "0.0", "yes", "no", "T", "f", "TRUE ", "0.00"]
TEXTS = ["a", "b", "A", " a", "a ", "ä", "日本語", "a" * 40, "\x00", "a\nb", "🙂" * 3]
TIMES = ["2026-01-31", "2026-01-31T18:30:00Z", "18:30:00", "P1D"]
VECTORS = ["[1, 2, 3]", "[1, 2]", "[1, null, 3]", "[[1, 2, 3]]"]
ODD: list[str | None] = [*NUMBERS, *TRUTHS, *TEXTS, *TIMES, *VECTORS, *sorted(MISSING_TEXTS), None]

KINDS: dict[str, Any] = {
    "number": (float, ...),
    "maybe_number": (float | None, ...),
    "bounded": (float, Field(ge=-5.5, lt=100)),
    "outside": (float | None, Field(gt=1, le=10)),
    "count": (int, ...),
    "maybe_count": (int | None, Field(ge=-5, lt=100)),
    "truth": (bool, ...),
    "maybe_truth": (bool | None, ...),
    "category": (Literal["a", "b", "1", "007", "None"], ...),
    "maybe_category": (Literal["a", "NA"] | None, ...),
    "text": (str, Field(max_length=30)),
    "maybe_text": (str | None, Field(min_length=2, max_length=30)),
    "key": (Annotated[str, "key"], ...),
    "maybe_key": (Annotated[str | None, "key"], ...),
    "whole_key": (Annotated[int, "key"], ...),
    "maybe_whole_key": (Annotated[int | None, "key"], ...),
    "vector": (list[float], Field(min_length=3, max_length=3)),
    "maybe_vector": (list[float] | None, Field(min_length=3, max_length=3)),
    "day": (date, ...),
    "maybe_moment": (datetime | None, ...),
    "size": (timedelta | None, ...),
}

INTS = [0, 1, 2, -3, 7, 99, 100]
FLOATS = [
    0.0,
    -0.0,
    1.0,
    2.5,
    -5.5,
    1e-50,
    100.0,
    3.4e38,
    1e39,
    float("inf"),
    float("-inf"),
    float("nan"),
    2.0**53,
    1e19,
]
BIG = [2**24, 2**24 + 1, -(2**24) - 1, 2**53 + 1, 2**62 + 1]
MOMENTS = [datetime(2026, 1, 31), datetime(2026, 1, 31, 18, 30, 1, 5000), datetime(1970, 1, 1)]
#: Arrays of each type that a file may have.
ARRAYS: dict[str, Callable[[], pa.Array]] = {
    "string": lambda: pa.array(ODD, pa.string()),
    "large_string": lambda: pa.array(ODD, pa.large_string()),
    "string_view": lambda: pa.array(ODD, pa.string_view()),
    "texts_without_null": lambda: pa.array([text for text in ODD if text is not None]),
    "dictionary": lambda: pa.array(ODD).dictionary_encode(),
    "dictionary_with_null": lambda: pa.array(ODD).dictionary_encode("encode"),
    "dictionary_of_other_rows": lambda: pa.array(ODD).dictionary_encode().slice(3, 10),
    "dictionary_with_repeats": lambda: pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 2, None, 2, 0], pa.int8()), ["a", "a", "1"]
    ),
    "dictionary_of_ints": lambda: pa.array([1, 0, None, 2, 1]).dictionary_encode(),
    "good_numbers": lambda: pa.array(["1", "2.5", "3e1", "", "NA", None, "-1"]),
    "int8": lambda: pa.array(INTS, pa.int8()),
    "int32": lambda: pa.array(INTS, pa.int32()),
    "int64": lambda: pa.array([*INTS, *BIG, -(2**63), 2**63 - 1]),
    "int64_with_null": lambda: pa.array([*INTS, 2**24 + 1, None]),
    "uint64": lambda: pa.array([*INTS[:3], *BIG[:2], 2**63, 2**64 - 1], pa.uint64()),
    "float16": lambda: pa.array(np.array([0, 1, 2.5, np.nan], np.float16)),
    "float32": lambda: pa.array([*FLOATS[:8], None, *FLOATS[9:]], pa.float32()),
    "double": lambda: pa.array([*FLOATS, None]),
    "double_without_null": lambda: pa.array(FLOATS),
    "bool": lambda: pa.array([True, False]),
    "bool_with_null": lambda: pa.array([True, None, False]),
    "nothing": lambda: pa.array([None, None]),
    "decimal": lambda: pa.array([Decimal("1.00"), Decimal("2.50"), None], pa.decimal128(10, 2)),
    "timestamp": lambda: pa.array([*MOMENTS, None], pa.timestamp("us")),
    "timestamp_in_zone": lambda: pa.array([*MOMENTS, None], pa.timestamp("ns", "Europe/Berlin")),
    "date": lambda: pa.array([date(2026, 1, 31), None]),
    "duration": lambda: pa.array([timedelta(days=1, seconds=2), None]),
    "binary": lambda: pa.array([b"a", b"1", None]),
    "list": lambda: pa.array([[1.0, 2.0, 3.0], [1.0], None, [1.0, None, 2.0]]),
    "fixed_size_list": lambda: pa.array([[1.0, 2.0, 3.0], None, [1e39, 0, 0]], pa.list_(pa.float64(), 3)),
    "struct": lambda: pa.array([{"a": 1}, None]),
}


class Prediction(BaseModel):
    """Nothing that is looked at here."""

    answer: bool


def contract_of(**fields: Any) -> Contract:
    return derive(create_model("Row", **fields), Prediction)


CONTRACT = contract_of(**KINDS)


def same(found: CheckResult, expected: CheckResult) -> None:
    assert found.columns.keys() == expected.columns.keys()
    for name, array in expected.columns.items():
        assert (found.columns[name].dtype, found.columns[name].shape) == (array.dtype, array.shape), name
        # What the arrays have at invalid values is not used.
        invalid = [v.row for v in expected.violations if v.field == name and v.row is not None]
        np.testing.assert_array_equal(np.delete(found.columns[name], invalid, 0), np.delete(array, invalid, 0))
        if array.dtype == object:
            assert set(map(type, found.columns[name])) <= {str}
    # A NaN in a vector equals nothing.
    assert list(map(str, found.violations)) == list(map(str, expected.violations))


@pytest.mark.parametrize("type_", ARRAYS)
def test_arrow_and_pandas_give_the_same(type_: str) -> None:
    array = ARRAYS[type_]()
    batch = pa.record_batch([array] * len(KINDS), names=list(KINDS))
    # pandas takes dictionaries without repeats and nulls alone.
    plain = array.dictionary_decode() if pt.is_dictionary(array.type) else array
    frame = pa.record_batch([plain] * len(KINDS), names=list(KINDS)).to_pandas(ignore_metadata=True)
    expected = dataframes.check_features(frame, CONTRACT)
    if pt.is_integer(plain.type):  # where one is missing, pandas has the others as 1.0
        violations = [v._replace(value=None if v.value is None else int(v.value)) for v in expected.violations]
        expected = expected._replace(violations=violations)
    same(arrow_rows.check_features(batch, CONTRACT), expected)


@pytest.mark.parametrize("type_", ["string", "dictionary", "int64_with_null", "double"])
def test_rows_do_not_depend_on_each_other(type_: str) -> None:
    values = ARRAYS[type_]()
    some = values.take(pa.array(range(0, len(values), 4)))
    batch = pa.record_batch([some] * len(KINDS), names=list(KINDS))
    whole = arrow_rows.check_features(batch, CONTRACT)
    parts = [arrow_rows.check_features(batch.slice(row, 1), CONTRACT) for row in range(len(batch))]
    violations = [v._replace(row=row) for row, part in enumerate(parts) for v in part.violations]
    violations.sort(key=lambda violation: list(KINDS).index(violation.field))
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in KINDS}
    same(CheckResult(columns, violations), whole)


def test_columns_missing_twice_or_one_for_each_element() -> None:
    contract = contract_of(
        number=(float | None, Field(default=2.5)),
        key=(Annotated[str, "key"], "x"),
        vector=(list[float] | None, Field(min_length=2, max_length=2, le=10)),
        needed=(float, ...),
        twice=(int, ...),
    )
    elements = {"vector_0": pa.array(["1", "", "x", "11"]), "vector_1": pa.array([2.0, None, 1.0, None])}
    batch = pa.record_batch([*elements.values(), *[pa.array([1, 2, 3, 4])] * 2], names=[*elements, "twice", "twice"])
    expected = dataframes.check_features(batch.to_pandas(ignore_metadata=True), contract)
    assert {violation.field for violation in expected.violations} == {"vector", "needed", "twice"}
    for given in (batch, pa.Table.from_batches([batch.slice(0, 1), batch.slice(1)]), batch.slice(0, 0)):
        found = arrow_rows.check_features(given, contract)
        same(found, dataframes.check_features(given.to_pandas(ignore_metadata=True), contract))


def test_whole_keys_of_64_bits_beside_a_missing_one() -> None:
    contract = contract_of(key=KINDS["maybe_whole_key"])
    batch = pa.record_batch([pa.array([2**53 + 1, None])], names=["key"])
    found = arrow_rows.check_features(batch, contract)
    assert (found.columns["key"].tolist(), found.violations) == ([str(2**53 + 1), ""], [])


def test_one_object_for_all_rows_that_have_a_category() -> None:
    contract = contract_of(category=KINDS["category"])
    batch = pa.record_batch([pa.array(["a", "b"] * 500)], names=["category"])
    assert len(set(map(id, arrow_rows.check_features(batch, contract).columns["category"]))) == 2
