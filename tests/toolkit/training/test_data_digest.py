"""The digest of a table: what changes it, what does not, and what it costs."""

import datetime
import decimal
import time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from titanic_survival.toolkit.training.data_digest import BLOCK_ROWS, data_digest

ROWS = BLOCK_ROWS + 1000
RANDOM = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "amount": RANDOM.normal(size=ROWS),
        "count": RANDOM.integers(0, 100, ROWS),
        "name": pd.Series(RANDOM.choice(["a", "bc", ""], ROWS), dtype="str"),
        "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(RANDOM.integers(0, 99, ROWS), "D"),
        "vector": list(RANDOM.normal(size=(ROWS, 2))),
        "known": RANDOM.random(ROWS) < 0.5,
    }
)
TABLE.loc[::7, ["amount", "name"]] = None
DIGEST = data_digest(TABLE)


def changed(name: str, value: Any, row: int = ROWS - 2) -> pd.DataFrame:
    """Return the table with one other value."""
    values = TABLE[name].tolist()
    values[row] = value
    return TABLE.assign(**{name: pd.Series(values, dtype=TABLE[name].dtype)})


@pytest.mark.parametrize(
    "table",
    [
        changed("amount", 0.5),
        changed("amount", np.nan),
        changed("count", -1),
        changed("name", "abc"),
        changed("name", None),
        changed("day", pd.Timestamp("2025-01-01")),
        changed("vector", np.array([1.0, 2.0])),
        changed("known", not TABLE["known"].iloc[-2]),
        changed("amount", 0.5, row=0),
        TABLE[::-1],
        TABLE[:-1],
        TABLE.rename(columns={"count": "counted"}),
        TABLE[TABLE.columns[::-1]],
        TABLE.drop(columns="known"),
    ],
)
def test_any_change_of_the_data_is_another_digest(table: pd.DataFrame) -> None:
    assert data_digest(table) != DIGEST


def test_texts_that_move_from_one_row_to_the_next_are_another_digest() -> None:
    assert len({data_digest(pd.DataFrame({"name": texts})) for texts in (["ab", ""], ["a", "b"], ["", "ab"])}) == 3


def in_chunks(rows: int) -> pd.DataFrame:
    """Return the table over Arrow's own columns, in chunks of some rows."""
    table = pa.Table.from_pandas(TABLE)
    parts = [table[start : start + rows] for start in range(0, len(TABLE), rows)]
    return pa.concat_tables(parts).to_pandas(types_mapper=pd.ArrowDtype)


@pytest.mark.parametrize(
    "table",
    [
        TABLE.copy(),
        pd.concat([TABLE[:999], TABLE[999:]]),
        TABLE.set_axis(range(7, 7 + ROWS)),
        TABLE.astype({"count": "int32", "name": "category"}),
        TABLE.astype({"name": object}),
        TABLE.assign(vector=TABLE["vector"].map(list)),
        pd.concat([TABLE, TABLE])[ROWS:],
        in_chunks(777),
        in_chunks(ROWS),
    ],
)
def test_same_data_have_the_same_digest_wherever_they_come_from(table: pd.DataFrame) -> None:
    assert data_digest(table) == DIGEST


def test_digest_is_the_same_in_every_release() -> None:
    table = pd.DataFrame({"number": [1.5, None], "text": ["a", None], "whole": [1, 2], "vector": [[1.0], [2.0, 3.0]]})
    assert data_digest(table) == "968ba081e4223a09a8956d7ff371c1c2"


@pytest.mark.parametrize("kind", [pa.map_(pa.string(), pa.int64()), pa.list_view(pa.int64())])
def test_columns_of_arrow_without_a_fixed_width_have_a_digest(kind: pa.DataType) -> None:
    table = pd.DataFrame({"value": pd.Series([[], None], dtype=pd.ArrowDtype(kind))})
    assert data_digest(table) == data_digest(table.copy()) != data_digest(table[::-1])


@pytest.mark.parametrize(
    "values",
    [
        [1, "a"],
        [{"a": 1}, {"b": [1, 2]}],
        [{1: 2}, None],
        [1 + 2j, 0j],
        [decimal.Decimal("1.5"), decimal.Decimal("2")],
        [datetime.date(2026, 1, 1), None],
        [datetime.time(1), datetime.time(2)],
        [pd.Period("2026"), pd.Period("2025")],
        [pd.Timedelta(days=1), None],
        [2**70, 1],
        [np.arange(4.0).reshape(2, 2), np.zeros((2, 2))],
        [b"a", b"b"],
        [[["a"]], [[], ["b", None]]],
        [],
        [None, None],
        ["\ud800", "a"],
    ],
)
def test_values_of_every_kind_have_a_digest(values: list[Any]) -> None:
    table = pd.DataFrame({"value": pd.Series(values, dtype=object)})
    assert data_digest(table) == data_digest(table.copy())
    if table["value"].notna().any():
        assert data_digest(table) != data_digest(table[::-1])


def test_half_a_million_rows_take_less_than_two_seconds() -> None:
    table = pd.DataFrame({f"x{i}": RANDOM.random(500_000) for i in range(10)})
    table["text"] = pd.Series(np.array(["a", "b"])[RANDOM.integers(0, 2, 500_000)], dtype="str")
    start = time.process_time()
    data_digest(table)
    assert time.process_time() - start < 2
