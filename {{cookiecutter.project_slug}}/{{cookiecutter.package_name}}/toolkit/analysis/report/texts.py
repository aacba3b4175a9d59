"""Numbers, shares, times and names as the page shows them; names and values come from a log that anybody may fill."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from ..summary import Estimate

#: What stands where there is no value.
NONE = "\N{EN DASH}"
#: Longer names and values are cut.
MOST_CHARACTERS = 200
#: Digits behind the point of a number with its interval, at most.
MOST_PLACES = 9
SPACE = "\N{NO-BREAK SPACE}"
#: Characters that turn the direction of the text behind them.
DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: object, most: int = MOST_CHARACTERS) -> str:
    """Return a text of at most `most` characters, without those that are no text or turn its direction."""
    whole = str(text)
    cut = whole if len(whole) <= most else whole[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_no_text(character) else character for character in cut)


def _is_no_text(character: str) -> bool:
    return character in DIRECTIONS or unicodedata.category(character) in ("Cc", "Cs", "Cn")


def soft(text: str) -> Markup:
    """Return a text, escaped, that may be broken behind an underline or a slash."""
    return Markup(re.sub(r"([_/])", r"\1<wbr>", str(escape(text))))


def value(item: Any, most: int = MOST_CHARACTERS) -> str:
    """Return a value of a row."""
    if item is None or item == "":
        return NONE
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, float | int):
        return number(item)
    if isinstance(item, list | tuple | dict):
        return clean(json.dumps(item, ensure_ascii=False, default=str), most)
    return clean(item, most)


def number(item: float | None, digits: int = 4) -> str:
    """Return a number with so many digits, of whole numbers and of large ones all before the point."""
    if item is None:
        return NONE
    if isinstance(item, int):
        return f"{item:,}" if abs(item) < 10**15 else f"{clean(item, 30)}"
    if math.isnan(item):
        return "not a number"
    if math.isinf(item):
        return "infinite" if item > 0 else "-infinite"
    if 1e4 <= abs(item) < 1e15 or (item == round(item) and abs(item) < 1e15):
        return f"{item:,.0f}"
    return f"{item:.{digits}g}"


def brief(item: float | None) -> str:
    """Return a number with three digits, as the reasons of rules have them."""
    return number(item, 3)


def short(item: float) -> str:
    """Return a number for the label of an axis."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size <= abs(item) < 1000 * size and abs(item) >= 1e4:
            return f"{item / size:.4g}{unit}"
    return f"{item:.4g}"


def fitting(text: str, places: int) -> str:
    """Return a text that is cut to so many places; characters of East Asia take two."""
    sizes = [2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text]
    if sum(sizes) <= places:
        return text
    end = next(i for i in range(len(sizes)) if sum(sizes[: i + 1]) > places - 1)
    return text[:end] + "\N{HORIZONTAL ELLIPSIS}"


def share(item: float | None) -> str:
    """Return a share in percent."""
    if item is None or not math.isfinite(item):
        return number(item)
    return f"{100 * item:.1f}{SPACE}%"


def rounded(estimate: Estimate | None, sign: str = "") -> str:
    """Return an estimate with its interval, to three digits of the interval's width; `sign` is "+" of a difference."""
    width = estimate.high - estimate.low if estimate else math.nan
    places = max(0, 2 - math.floor(math.log10(width))) if 0 < width < math.inf else MOST_PLACES + 1
    if estimate is None or places > MOST_PLACES or not math.isfinite(estimate.value):
        return with_interval(estimate)
    value, low, high = (f"{item:{sign},.{places}f}" for item in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def index(item: float | None) -> str:
    """Return a population stability index, with three digits behind the point."""
    return number(item) if item is None or not math.isfinite(item) else f"{item:.3f}"


def interval(estimate: Estimate | None, form: Callable[[float | None], str] = number) -> str:
    """Return the interval of an estimate."""
    return NONE if estimate is None else f"{form(estimate.low)} to {form(estimate.high)}"


def with_interval(estimate: Estimate | None, form: Callable[[float | None], str] = number) -> str:
    """Return an estimate with its interval."""
    return NONE if estimate is None else f"{form(estimate.value)} ({interval(estimate, form)})"


def group(name: str) -> str:
    """Return the name of a group of rows, "" for all of them."""
    return clean(name.replace("/", " = ", 1)) if name else "all rows"


def utc(time: datetime) -> datetime:
    """Return a time in UTC; one without a zone is in UTC already."""
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:  # in the first or the last year that there is
        return time.replace(tzinfo=UTC)


def minute(time: datetime | None) -> str:
    """Return a time to the minute where UTC is said elsewhere."""
    return NONE if time is None else f"{utc(time):%Y-%m-%d %H:%M}"


def moment(time: datetime | None) -> str:
    """Return a time to the minute."""
    return NONE if time is None else f"{minute(time)} UTC"


def tick(time: datetime, days: float) -> str:
    """Return a time as it stands below an axis of some days."""
    form = "%H:%M" if days <= 1 else "%d %b %H:%M" if days <= 3 else "%d %b" if days <= 300 else "%b %Y"
    return utc(time).strftime(form)
