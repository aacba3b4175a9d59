"""Date-partitioned folders: one folder of rows for each date, by the layouts that jobs and databases usually write."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

from .locations import Location

#: Names of a date's folder, as `strftime` has them.
LAYOUTS = ("date=%Y-%m-%d", "%Y-%m-%d", "%Y/%m/%d")


class DateFolder(NamedTuple):
    """The rows of a date."""

    date: date
    #: The folder's name, below that of all dates.
    name: str
    location: Location


def between(first: date, last: date) -> Iterator[date]:
    """Yield each date from the first to the last."""
    for days in range((last - first).days + 1):
        yield first + timedelta(days)


def find(folder: Location, first: date, last: date) -> tuple[list[DateFolder], list[date]]:
    """Return the folders of the dates from the first to the last, and the dates that have none."""
    found, missing = [], []
    layouts = list(LAYOUTS)
    for day in between(first, last):
        for layout in layouts:
            name = day.strftime(layout)
            if (location := folder.child(name)).is_folder():
                found.append(DateFolder(day, name, location))
                # Most folders have one layout, and each question to an object store takes its time.
                layouts.sort(key=layout.__ne__)
                break
        else:
            missing.append(day)
    return found, missing
