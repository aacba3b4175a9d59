"""Hold-out rows that are training rows too: which count, and from how many on training stops."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.training import leakage

RANDOM = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "amount": RANDOM.normal(size=1000),
        "group": RANDOM.choice(["a", "b"], 1000),
        "pixels": [np.round(RANDOM.normal(size=3), 1) for _ in range(1000)],
        "label": RANDOM.random(1000) < 0.5,
    }
)
TABLE.loc[::7, "amount"] = np.nan
FEW = TABLE[["group", "label"]].assign(other=RANDOM.random(1000) < 0.5)


def test_each_row_on_one_side_leaks_nothing() -> None:
    assert leakage.check(TABLE, TABLE[:800], TABLE[800:]) == ""


@pytest.mark.parametrize("reset", [False, True])
def test_rows_on_both_sides_are_counted_and_one_is_named(reset: bool) -> None:
    training, holdout = TABLE[:805], TABLE[800:]
    if reset:
        holdout = holdout.sample(frac=1, random_state=0).reset_index(drop=True)
    found = leakage.find(TABLE, training, holdout)
    assert sorted(found.training) == [800, 801, 802, 803, 804]
    expected = leakage.find(TABLE, training, TABLE[800:])
    assert expected.holdout.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(UserError, match=r"5 of 200 hold-out rows \(2\.5%\) are training rows too") as error:
        leakage.check(TABLE, training, holdout)
    assert "amount=" in str(error.value)
    assert "At most 1% are allowed" in str(error.value)


def test_up_to_one_percent_is_a_warning() -> None:
    assert "2 of 200 hold-out rows (1.0%)" in leakage.check(TABLE, TABLE[:802], TABLE[800:])


def test_duplicates_that_are_split_at_random_leak() -> None:
    doubled = pd.concat([TABLE, TABLE], ignore_index=True).sample(frac=1, random_state=0)
    found = leakage.find(doubled, doubled[:1600], doubled[1600:])
    assert len(found.holdout) > 250


@pytest.mark.parametrize("table", [FEW, TABLE[["group", "label"]]])
def test_rows_of_few_values_that_repeat_by_chance_are_no_leak(table: Any) -> None:
    assert leakage.check(table, table[:800], table[800:]) == ""


def test_rows_of_few_values_that_were_returned_twice_leak() -> None:
    with pytest.raises(UserError, match=r"200 of 200 hold-out rows \(100\.0%\)"):
        leakage.check(FEW, FEW, FEW[800:])


def test_part_whose_numbers_became_floats_is_compared_by_value() -> None:
    table = pd.DataFrame({"count": np.arange(100), "other": np.arange(100)})
    holdout = table[90:].astype({"count": float})
    assert len(leakage.find(table, table, holdout).holdout) == 10
