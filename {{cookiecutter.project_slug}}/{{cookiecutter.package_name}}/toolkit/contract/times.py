"""Dates and times: ISO 8601 in JSON and text, and as float32 parts in columns, which hold them exactly.

The parts are what the model sees, as one column each: a date `d` is `d_year`, `d_month`, `d_day`, `d_weekday` (Monday
is 0) and `d_days` since 1970-01-01. Times are UTC: one with another offset is converted, one without is taken as UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from pydantic import TypeAdapter

_DATE, _CLOCK = ("year", "month", "day", "weekday", "days"), ("hour", "minute", "second")
#: The names of the parts of each kind.
PARTS: dict[str, tuple[str, ...]] = {
    "date": _DATE,
    "datetime": _DATE + _CLOCK,
    "time": _CLOCK,
    "timedelta": ("days", "seconds"),
}
#: The type of each kind's values in Python.
TYPES: dict[str, type] = {"date": date, "datetime": datetime, "time": time, "timedelta": timedelta}
EXPECTED = {
    "date": "a date such as 2026-01-31",
    "datetime": "a date and time such as 2026-01-31T18:30:00Z",
    "time": "a time of day such as 18:30:00",
    "timedelta": "a duration such as P1DT6H30M",
}
#: The number that stands for a value where one is needed, as a sum over its parts: days, of a time of day hours.
WEIGHTS: dict[str, tuple[float, ...]] = {
    "date": (0, 0, 0, 0, 1),
    "datetime": (0, 0, 0, 0, 1, 1 / 24, 1 / 1440, 1 / 86400),
    "time": (1, 1 / 60, 1 / 3600),
    "timedelta": (1, 1 / 86400),
}
EPOCH = datetime(1970, 1, 1)
SECOND = timedelta(seconds=1)
#: float32 holds every number of days up to here, and int64 its microseconds.
MAX_DURATION = timedelta(days=2**24)
DURATION = TypeAdapter(timedelta)


def parse(text: str, kind: str) -> Any:
    """Return the value of a text in ISO 8601, without an offset, in UTC; ValueError if it is none."""
    try:
        return PARSERS[kind](text)
    except OverflowError:  # such as the last hour of the year 9999, where UTC is in the next
        raise ValueError("no time that Python holds") from None


def _moment(text: str) -> datetime:
    moment: datetime = to_utc(datetime.fromisoformat(text))
    return moment


def _clock(text: str) -> time:
    value = time.fromisoformat(text)
    if value.tzinfo is not None:
        raise ValueError("a time of day has no offset")
    return value


def _duration(text: str) -> timedelta:
    """Return a duration of days, hours, minutes and seconds; months and years have no fixed length."""
    if not text.lstrip("+-").startswith("P") or set("YM") & set(text.partition("T")[0]):
        raise ValueError("no duration of days, hours, minutes and seconds")
    value = DURATION.validate_python(text)
    if abs(value) > MAX_DURATION:
        raise ValueError("a duration beyond the days that float32 holds")
    return value


PARSERS: dict[str, Callable[[str], Any]] = {
    "date": date.fromisoformat,
    "datetime": _moment,
    "time": _clock,
    "timedelta": _duration,
}


def to_utc(value: Any) -> Any:
    """Return a date and time in UTC, without an offset; any other value as it is."""
    is_aware = isinstance(value, datetime) and value.tzinfo is not None
    return value.astimezone(UTC).replace(tzinfo=None) if is_aware else value


def seconds(value: Any) -> float:
    """Return a date or time without an offset as seconds: since 1970-01-01, of a time of day since midnight."""
    if isinstance(value, time):
        value = datetime.combine(EPOCH, value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return ((value - EPOCH) if isinstance(value, datetime) else value) / SECOND


def from_seconds(number: float, kind: str) -> Any:
    """Return the date or time that `seconds` makes this number, to the millisecond."""
    # As whole milliseconds, which float64 holds exactly in all years; timedelta(seconds=) would split off a fraction.
    size = timedelta(milliseconds=round(number * 1000))
    if kind == "timedelta":
        return size
    moment = EPOCH + size
    return {"date": moment.date(), "time": moment.time(), "datetime": moment}[kind]


def iso(value: Any) -> str:
    """Return a date, time or duration in ISO 8601."""
    if isinstance(value, timedelta):
        return _duration_text(value)
    return f"{value.isoformat()}Z" if isinstance(value, datetime) else str(value.isoformat())


def _duration_text(value: timedelta) -> str:
    # In days, hours, minutes and seconds: pydantic writes years, whose length depends on the calendar.
    sign, size = ("-", -value) if value < timedelta() else ("", value)
    minutes, seconds = divmod(size.seconds, 60)
    clock = f"{minutes // 60}H{minutes % 60}M{seconds + size.microseconds / 1e6:.15g}S"
    return f"{sign}P{size.days}D" + (f"T{clock}" if clock != "0H0M0S" else "")


def parts(microseconds: np.ndarray, kind: str) -> np.ndarray:
    """Return the parts (n, k) as float32 of datetime64[us] or timedelta64[us] values (n,), NaN for NaT.

    Fractions of a second are cut to milliseconds, of a duration to hundredths: float32 tells these apart.
    """
    missing = np.isnat(microseconds)
    values = np.where(missing, np.zeros(1, microseconds.dtype), microseconds)
    if kind == "timedelta":
        days = values.astype("timedelta64[us]") // np.timedelta64(1, "D")
        rest = values - days * np.timedelta64(1, "D")
        columns = [days.astype(np.int64), rest.astype(np.int64) // 10_000 / 100]
    else:
        days = values.astype("datetime64[D]")
        columns = _date_parts(days) if "days" in PARTS[kind] else []
        columns += _clock_parts(values - days) if "hour" in PARTS[kind] else []
    found = np.column_stack(columns).astype(np.float32)
    found[missing] = np.nan
    return found


def _date_parts(days: np.ndarray) -> list[np.ndarray]:
    months, since = days.astype("datetime64[M]"), days.astype(np.int64)
    month = months.astype(np.int64)
    return [
        1970 + month // 12,
        1 + month % 12,
        1 + (days - months.astype("datetime64[D]")).astype(int),
        (since + 3) % 7,
        since,
    ]


def _clock_parts(since_midnight: np.ndarray) -> list[np.ndarray]:
    whole = since_midnight.astype("timedelta64[us]").astype(np.int64)
    return [whole // 3_600_000_000, whole // 60_000_000 % 60, whole % 60_000_000 // 1000 / 1000]


def from_values(values: Iterable[Any], kind: str) -> np.ndarray:
    """Return the parts of values as Python has them or as text in ISO 8601, None where missing."""
    return parts(
        microseconds([parse(value, kind) if isinstance(value, str) else to_utc(value) for value in values], kind), kind
    )


def microseconds(values: Iterable[Any], kind: str) -> np.ndarray:
    """Return values without an offset as datetime64[us] or timedelta64[us], a time of day on the first day of 1970."""
    if kind == "timedelta":
        return np.array(list(values), dtype="timedelta64[us]")
    if kind == "time":
        values = (value if value is None else datetime.combine(EPOCH, value) for value in values)
    return np.array(list(values), dtype="datetime64[us]")


def to_texts(array: np.ndarray, kind: str) -> list[str | None]:
    """Return parts (n, k) as text in ISO 8601, from which the same parts follow; None where missing."""
    missing = np.isnan(array[:, 0])
    total = seconds_of(np.where(missing[:, None], 0, array), kind)
    digits = 2 if kind == "timedelta" else 3
    values = (from_seconds(round(number, digits), kind) for number in total.tolist())
    return [None if nothing else iso(value) for nothing, value in zip(missing, values, strict=True)]


def seconds_of(array: np.ndarray, kind: str) -> np.ndarray:
    """Return parts (n, k) as float64 seconds (n,), see `seconds`."""
    unit = 3600 if kind == "time" else 86400
    exact: np.ndarray = array.astype(np.float64) @ (np.array(WEIGHTS[kind]) * unit)
    return np.round(exact, 6)


def columns(name: str, kind: str) -> list[str]:
    """Return the names of the columns in which the model sees a field."""
    return [f"{name}_{part}" for part in PARTS[kind]]
