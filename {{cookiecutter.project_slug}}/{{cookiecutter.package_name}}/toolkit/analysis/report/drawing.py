"""Drawings: shapes of SVG on a small sheet, coloured by classes of the style sheet, which knows light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

#: The sheet has the width of a phone, so that its texts have the same size as others everywhere.
WIDTH = 320.0
#: The number of steps of an axis, or one more.
STEPS = 4
#: Larger numbers would overflow where they are subtracted.
LARGEST = 1e150


class Shape(NamedTuple):
    """An element of SVG; `title` is shown where a pointer rests on it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    title: str = ""


@dataclass
class Drawing:
    """A picture; `title` and `description` say what it shows to those who do not see it."""

    title: str
    height: float
    description: str = ""
    width: float = WIDTH
    shapes: list[Shape] = field(default_factory=list)

    def bar(self, x: float, y: float, width: float, height: float, kind: str, title: str = "") -> None:
        """Add a rectangle."""
        size = {"width": _at(max(width, 0)), "height": _at(max(height, 0))}
        self.shapes.append(Shape("rect", {"x": _at(x), "y": _at(y), **size, "class": kind}, title=title))

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """Add a straight line."""
        ends = {"x1": _at(x1), "y1": _at(y1), "x2": _at(x2), "y2": _at(y2)}
        self.shapes.append(Shape("line", {**ends, "class": kind}))

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Add a line through points."""
        through = " ".join(f"{_at(x)},{_at(y)}" for x, y in points)
        self.shapes.append(Shape("polyline", {"points": through, "class": kind}))

    def dot(self, x: float, y: float, kind: str, title: str = "") -> None:
        """Add a dot."""
        self.shapes.append(Shape("circle", {"cx": _at(x), "cy": _at(y), "r": "3", "class": kind}, title=title))

    def label(self, x: float, y: float, text: str, kind: str = "label", anchor: str = "start", title: str = "") -> None:
        """Add a text whose start, middle or end is at x."""
        place = {"x": _at(x), "y": _at(y), "text-anchor": anchor, "class": kind}
        self.shapes.append(Shape("text", place, text=text, title=title))


class Scale(NamedTuple):
    """Numbers from `low` to `high` on the sheet, from `start` to `end`; an axis names every `step`."""

    low: float
    high: float
    start: float
    end: float
    step: float = 0.25

    def __call__(self, value: float) -> float:
        """Return where a number lies; one beyond the scale lies at its end."""
        share = (bounded(value) - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0), 1) * (self.end - self.start)

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float, *, zero: bool = False) -> Scale:
        """Return a scale over the finite ones of some numbers, from 0 if `zero`, that ends at round numbers."""
        finite = [bounded(value) for value in values if math.isfinite(value)]
        low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
        low = 0.0 if zero else low
        if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
            room = abs(low) * 0.1 or 1.0
            low, high = (0.0, max(high, 1.0)) if zero else (low - room, high + room)
        step = _step((high - low) / STEPS)
        return cls(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end, step)

    def ticks(self) -> list[float]:
        """Return round numbers on the scale."""
        count = round((self.high - self.low) / self.step)
        return [self.low + i * self.step for i in range(count + 1)]


def bounded(value: float) -> float:
    """Return a number that can be subtracted from another one."""
    return min(max(value, -LARGEST), LARGEST)


def _step(width: float) -> float:
    """Return the round number from `width` on."""
    power = 10.0 ** math.floor(math.log10(width))
    return next((power * digit for digit in (1, 2, 5) if power * digit >= width * (1 - 1e-9)), power * 10)


def _at(place: float) -> str:
    return f"{place:.1f}".removesuffix(".0")
