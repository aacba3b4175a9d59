"""JSON rows: which are valid, and the violations of those that are not."""

import json
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.json_rows import MAX_VIOLATIONS, InvalidRowsError, RowParser, TooManyRowsError


class Row(BaseModel):
    """A field of each kind."""

    number: float = Field(default=1.5, ge=0, lt=10)
    free: float = 0.0
    maybe: float | None = 2.5
    count: int = Field(default=0, ge=-5)
    truth: bool = False
    category: Literal["a", "b"] = "a"
    maybe_category: Literal["a", "b: c: d"] | None = None
    vector: list[Annotated[float, Field(le=1)]] = Field(min_length=2, max_length=2)


class Prediction(BaseModel):
    """Any label."""

    label: bool


PARSER = RowParser(derive(Row, Prediction))
VECTOR = {"vector": [0, 1]}


def refused(body: Any) -> list[tuple[int | None, str]]:
    with pytest.raises(InvalidRowsError) as error:
        PARSER.parse(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert all(violation.reason for violation in error.value.violations)
    return [(violation.row, violation.field) for violation in error.value.violations]


@pytest.mark.parametrize(
    ("field", "value", "becomes"),
    [
        ("number", 0, 0.0),
        ("number", 0.1, np.float32(0.1)),
        ("free", 3.4e38, np.float32(3.4e38)),
        ("maybe", None, np.nan),
        ("count", 3, 3.0),
        ("count", 3.0, 3.0),
        ("count", 2**24, 2.0**24),
        ("truth", True, 1.0),
        ("category", "b", "b"),
        ("maybe_category", None, ""),
        ("vector", [0.5, -7], [0.5, -7]),
    ],
)
def test_allowed_value_passes(field: str, value: Any, becomes: Any) -> None:
    count, columns = PARSER.parse(json.dumps([VECTOR | {field: value}]).encode())
    assert count == 1
    np.testing.assert_array_equal(columns[field][0], becomes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", -0.1),
        ("number", 10),
        ("number", "3"),
        ("number", True),
        ("number", None),
        ("number", float("nan")),
        ("free", float("nan")),
        ("free", float("inf")),
        ("free", float("-inf")),
        ("free", 1e39),
        ("free", 10**400),
        ("maybe", float("nan")),
        ("count", 2.5),
        ("count", 3.000000001),
        ("count", "3"),
        ("count", True),
        ("count", -6),
        ("count", 2**24 + 1),
        ("truth", 1),
        ("truth", "true"),
        ("category", "c"),
        ("category", ""),
        ("category", None),
        ("category", 1),
        ("vector", [0]),
        ("vector", [0, 1, 1]),
        ("vector", None),
        ("vector", "[0, 1]"),
    ],
)
def test_other_value_is_refused(field: str, value: Any) -> None:
    assert refused([VECTOR | {field: value}]) == [(0, field)]


@pytest.mark.parametrize("value", [2, "0", True, None, float("nan"), [0]])
def test_bad_element_of_a_vector_is_named(value: Any) -> None:
    assert refused([{"vector": [0, value]}]) == [(0, "vector[1]")]


def test_missing_field_takes_its_default() -> None:
    _, columns = PARSER.parse(json.dumps([VECTOR]).encode())
    got = {name: array[0] for name, array in columns.items() if name != "vector"}
    assert got == {
        "number": 1.5,
        "free": 0,
        "maybe": 2.5,
        "count": 0,
        "truth": 0,
        "category": "a",
        "maybe_category": "",
    }


def test_every_bad_value_of_every_row_is_named_at_once() -> None:
    rows = [VECTOR, VECTOR | {"count": 0.5, "category": 1}, {}, VECTOR | {"unknown": 1}, 7]
    assert refused(rows) == [(1, "count"), (1, "category"), (2, "vector"), (3, "unknown"), (4, "")]


@pytest.mark.parametrize("body", [b"", b"no json", b"\xff", b"{}", b'{"rows": []}', b"null", b"3", b"[" * 100_000])
def test_body_that_is_no_list_is_refused_as_a_whole(body: bytes) -> None:
    assert refused(body) == [(None, "")]


def test_columns_are_what_the_model_takes() -> None:
    _, columns = PARSER.parse(json.dumps([VECTOR] * 3).encode())
    assert {name: (array.dtype, array.shape) for name, array in columns.items()} == {
        name: (np.dtype(object if "category" in name else np.float32), (3, 2) if name == "vector" else (3,))
        for name in Row.model_fields
    }


def test_no_rows_are_no_mistake() -> None:
    count, columns = PARSER.parse(b"[]")
    assert count == 0
    assert columns["vector"].shape == (0, 2)


def test_rows_of_the_data_pass(version: Any, rows: list[dict[str, Any]]) -> None:
    assert RowParser(version.contract).parse(json.dumps(rows).encode())[0] == len(rows)


def test_value_of_the_wrong_kind_is_named_for_every_field(version: Any, rows: list[dict[str, Any]]) -> None:
    parse: Callable[[bytes], Any] = RowParser(version.contract).parse
    for name in rows[0]:
        with pytest.raises(InvalidRowsError) as error:
            parse(json.dumps([rows[0], rows[0] | {name: {}}]).encode())
        assert [(violation.row, violation.field) for violation in error.value.violations] == [(1, name)]


def test_of_too_many_bad_values_the_first_are_named_soon() -> None:
    rows: list[Any] = [VECTOR] * 150 + [{"vector": "no", "unknown": 1}] * 100_000
    start = time.process_time()
    with pytest.raises(InvalidRowsError, match=f"more than {MAX_VIOLATIONS} values") as error:
        PARSER.parse(json.dumps(rows).encode())
    assert time.process_time() - start < 3, "to describe them all takes longer"
    named = [(violation.row, violation.field) for violation in error.value.violations]
    assert named == [(row, field) for row in range(150, 150 + MAX_VIOLATIONS // 2) for field in ("vector", "unknown")]


@pytest.mark.parametrize("name", ['"a"', '"a%d"'])
def test_more_fields_than_rows_may_have_are_not_looked_at(name: str) -> None:
    fields = ",".join(f"{name % i if '%' in name else name}:1" for i in range(500_000))
    start = time.process_time()
    with pytest.raises(TooManyRowsError):
        PARSER.parse(b"[{" + fields.encode() + b"}]", 1000)
    assert time.process_time() - start < 1


def test_as_many_rows_as_allowed_pass_with_all_their_fields_and_colons() -> None:
    row = {
        "number": 1,
        "free": 1,
        "maybe": 1,
        "count": 1,
        "truth": True,
        "category": "a",
        "maybe_category": "b: c: d",
    } | VECTOR
    assert PARSER.parse(json.dumps([row] * 1000).encode(), 1000)[0] == 1000


def test_rows_beyond_a_limit_are_not_looked_at() -> None:
    bad = b"[" + b",".join([b"{}"] * 200_000) + b"]"
    start = time.process_time()
    with pytest.raises(TooManyRowsError):
        PARSER.parse(bad, 10)
    assert time.process_time() - start < 1, "to describe 200,000 bad rows takes seconds"
    with pytest.raises(InvalidRowsError):
        PARSER.parse(b"[{}]", 10)
