"""The window of an analysis."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from titanic_survival.toolkit.analysis.window import MOST_INTERVALS, Window

END = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize("days", [0.01, 1, 7, 30, 365, 1000])
def test_window_has_at_least_the_days_in_few_intervals(days: float) -> None:
    window = Window.of(END, days)
    assert window.intervals <= MOST_INTERVALS + 1
    assert window.end > END >= window.time(window.intervals - 1)
    assert END - window.start >= timedelta(days=days)
    assert window.last(days) == range(window.intervals)


def test_times_outside_of_the_window_are_in_no_interval() -> None:
    window = Window.of(END, 1)
    times = [window.start, window.end - timedelta(microseconds=1), window.start - timedelta(microseconds=1), window.end]
    array = np.array([*(time.replace(tzinfo=None) for time in times), "NaT"], "datetime64[us]")
    assert window.positions(array).tolist() == [0, window.intervals - 1, -1, -1, -1]


def test_last_days_are_a_part_of_the_window() -> None:
    window = Window.of(END, 7)
    day = window.last(1)
    assert (day.stop, len(day) * window.seconds) == (window.intervals, 86_400 + window.seconds)
    assert len(window.last(1e-9)) == 2


@pytest.mark.parametrize(("days", "shortest"), [(365, 1), (365, 7), (30, 7), (30, 1), (1000, 7), (7, 0.1)])
@pytest.mark.parametrize("most", [28, 336])
def test_short_part_of_a_long_window_is_measured_in_short_intervals(days: float, shortest: float, most: int) -> None:
    window = Window.of(END, days, most, shortest=shortest)
    assert window.intervals <= 8 * most + 2
    if most == 336 or days == 30:
        measured = (END - window.time(window.last(shortest).start)).total_seconds() / 86_400
        assert shortest <= measured <= 1.5 * shortest
