"""Drift: features and outputs with their histograms, the largest index first; and missing values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..summary import Estimate, FieldDrift
from .charts import histogram, strip
from .drawing import Drawing, Scale
from .texts import NONE, clean, index, interval, number, share

#: From where on a distribution counts as changed a little, and as changed (N. Siddiqi, Credit Risk Scorecards, 2006).
SOME, MUCH = 0.1, 0.25
#: Of more fields than these, histograms are shown of those with the largest drift.
MOST_HISTOGRAMS = 24
STRIP_WIDTH = 150.0


class DriftRow(NamedTuple):
    """A field as a row of a table."""

    field: str
    psi: str
    interval: str
    verdict: str
    strip: Drawing | None
    rows: str


class DriftCard(NamedTuple):
    """A field with its histogram."""

    row: DriftRow
    histogram: Drawing


class Drift(NamedTuple):
    """Fields by drift, the largest first."""

    rows: list[DriftRow]
    cards: list[DriftCard]

    @property
    def hidden(self) -> int:
        """Return how many fields have no histogram."""
        return len(self.rows) - len(self.cards)


class MissingRow(NamedTuple):
    """The share of rows without a value, as a row of a table; bars are in percent."""

    field: str
    now: str
    interval: str
    training: str
    change: str
    now_bar: float
    training_bar: float


def drift(fields: Sequence[FieldDrift], part: str) -> Drift:
    """Return the features or the outputs by drift."""
    ordered = sorted((one for one in fields if one.part == part), key=lambda one: -_size(one.psi))
    highest = [MUCH * 1.2, *(number for one in ordered if one.psi for number in (one.psi.value, one.psi.high))]
    scale = Scale.over(highest, 4, STRIP_WIDTH, zero=True)
    rows = [_row(one, scale) for one in ordered]
    cards = [DriftCard(row, histogram(one)) for row, one in zip(rows, ordered[:MOST_HISTOGRAMS], strict=False)]
    return Drift(rows, cards)


def verdict(psi: Estimate | None) -> str:
    """Return what an index says, by its whole interval."""
    if psi is None:
        return "too few rows"
    if not all(map(math.isfinite, (psi.value, psi.low, psi.high))):
        return "unknown"
    if psi.low > MUCH:
        return "drift"
    if psi.low > SOME:
        return "some drift"
    return "no drift" if psi.high <= SOME else "may be chance" if psi.value > SOME else "little drift"


def largest(fields: Sequence[FieldDrift]) -> str:
    """Return the feature with the largest index."""
    known = [one for one in fields if one.part == "feature" and one.psi is not None]
    if not known:
        return NONE
    most = max(known, key=lambda one: _size(one.psi))
    return f"{clean(most.field, 40)} ({index(most.psi.value if most.psi else None)})"


def missing(fields: Sequence[FieldDrift]) -> list[MissingRow]:
    """Return the features that may lack a value, the largest change first."""
    known = [one for one in fields if one.part == "feature" and one.missing is not None]
    return [_missing(one) for one in sorted(known, key=lambda one: -abs(_change(one)))]


def _row(one: FieldDrift, scale: Scale) -> DriftRow:
    return DriftRow(
        field=clean(one.field),
        psi=index(one.psi.value if one.psi else None),
        interval=interval(one.psi, index),
        verdict=verdict(one.psi),
        strip=strip(one.psi, scale, (SOME, MUCH)) if one.psi else None,
        rows=number(sum(one.rows)),
    )


def _missing(one: FieldDrift) -> MissingRow:
    now, training = one.missing.value if one.missing else math.nan, one.missing_reference
    change = _change(one)
    return MissingRow(
        field=clean(one.field),
        now=share(now),
        interval=interval(one.missing, share),
        training=share(training),
        change=f"{100 * change:+.1f} points" if training is not None and math.isfinite(training) else "unknown",
        now_bar=_percent(now),
        training_bar=_percent(training),
    )


def _change(one: FieldDrift) -> float:
    if one.missing is None or one.missing_reference is None:
        return 0.0
    change = one.missing.value - one.missing_reference
    return change if math.isfinite(change) else 0.0


def _percent(part: float | None) -> float:
    return round(100 * min(max(part, 0), 1), 1) if part is not None and math.isfinite(part) else 0.0


def _size(psi: Estimate | None) -> float:
    return -1.0 if psi is None or math.isnan(psi.value) else psi.value
