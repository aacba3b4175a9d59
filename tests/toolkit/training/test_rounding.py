"""Numbers that float32 does not hold: which are counted, and what is said."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import rounding


class Row(BaseModel):
    """Numbers of all kinds."""

    time: float | None = None
    pair: list[float] = Field(min_length=2, max_length=2)
    count: int = 0


class Prediction(BaseModel):
    """A number."""

    price: float


CONTRACT = derive(Row, Prediction)
GOOD = pd.DataFrame({"time": [0.1, None], "pair": [[0.1, 16777216.0], [1e9, 3.0]], "count": 1, "price": [0.1, 1e-3]})


def test_numbers_that_lose_the_last_digits_alone_are_nothing_to_say() -> None:
    assert list(rounding.warnings(GOOD, CONTRACT)) == []
    assert list(rounding.warnings(GOOD.drop(columns="time"), CONTRACT)) == []


@pytest.mark.parametrize("value", [1700000059, 1700000059.0, "1700000059"])
def test_large_whole_numbers_are_counted_and_one_is_named(value: Any) -> None:
    (said,) = rounding.warnings(GOOD.assign(time=pd.Series([value, None], dtype=object)), CONTRACT)
    assert said.startswith(
        "time: 1 of 2 rows have numbers that float32 does not hold, such as 1700000059, which becomes"
    )
    assert "becomes 1700000000. Subtract an offset" in said


def test_vector_and_label_are_counted_too() -> None:
    pair, price = rounding.warnings(GOOD.assign(pair=[[1.0, 16777217.0], [1.0, 2.0]], price=[16777219.0, 1]), CONTRACT)
    assert pair.startswith("pair: 1 of 2 rows")
    assert price.startswith("price: 1 of 2 rows")


@pytest.mark.parametrize(
    ("value", "changed"),
    [
        (0.1, False),
        (0, False),
        (np.nan, False),
        (123456.789, False),
        (2.0**24, False),
        (2.0**24 + 1, True),
        (1e9, False),
        (1700000059.5, True),
        (1e-42, True),
    ],
)
def test_change(value: float, changed: bool) -> None:
    assert rounding.is_changed(np.array([value], dtype=np.float64)).tolist() == [changed]
