"""Parts of dates and times, and the texts that are made of them."""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from titanic_survival.toolkit.contract import dataframes, times
from titanic_survival.toolkit.contract.derivation import derive

VALUES = {
    "date": [date(1, 1, 1), date(1969, 12, 31), date(2024, 2, 29), date(9999, 12, 31)],
    "datetime": [datetime(1, 1, 1), datetime(2026, 1, 31, 18, 30, 59, 999_999), datetime.max],
    "time": [time(), time(0, 0, 0, 1), time(23, 59, 59, 999_999)],
    "timedelta": [
        timedelta(microseconds=100),
        timedelta(milliseconds=350),
        timedelta(days=-400, hours=3),
        timedelta(days=400, hours=23, minutes=59, seconds=59, microseconds=999_999),
        times.MAX_DURATION,
    ],
}


@pytest.mark.parametrize("kind", VALUES)
def test_texts_of_parts_have_the_same_parts(kind: str) -> None:
    parts = times.from_values([*VALUES[kind], None], kind)
    texts = times.to_texts(parts, kind)
    assert texts[-1] is None
    np.testing.assert_array_equal(times.from_values(texts, kind), parts)


def test_a_second_is_never_60() -> None:
    assert times.from_values([time(23, 59, 59, 999_999)], "time").tolist()[0][:2] == [23, 59]
    assert times.from_values([time(23, 59, 59, 999_999)], "time")[0, 2] < 60


def test_durations_have_no_years_since_these_have_no_fixed_length() -> None:
    assert times.iso(timedelta(days=400)) == "P400D"
    assert times.iso(timedelta(hours=-30)) == "-P1DT6H0M0S"


class Row(BaseModel):
    """What columns of other types may be."""

    note: Annotated[str, "key"] | None = None
    day: date
    moment: datetime | None = None


class Prediction(BaseModel):
    """Any label."""

    label: bool


@pytest.mark.parametrize(
    ("changes", "rejected"),
    [
        ({}, set()),
        ({"note": np.nan}, set()),
        ({"note": 2134}, {"note"}),
        ({"day": pd.array([date(2026, 1, 31)] * 2, dtype="date32[day][pyarrow]")}, set()),
        ({"moment": pd.array([pd.Timestamp("2026-01-31", tz="UTC")] * 2, dtype="timestamp[us, UTC][pyarrow]")}, set()),
        ({"moment": [datetime.fromisoformat("9999-12-31T23:00:00-05:00")] * 2}, {"moment"}),
    ],
)
def test_columns_of_other_types(changes: dict[str, Any], rejected: set[str]) -> None:
    frame = pd.DataFrame({"note": ["a", "b"], "day": [date(2026, 1, 31)] * 2, "moment": [None, None]}, dtype=object)
    found = dataframes.check_features(frame.assign(**changes), derive(Row, Prediction))
    assert {violation.field for violation in found.violations} == rejected
    # As the first look at a file: its columns without a row.
    assert not dataframes.check_features(frame.assign(**changes).iloc[:0], derive(Row, Prediction)).violations
