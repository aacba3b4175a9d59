"""Drift of features and outputs, and missing values, from the counts of bins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np

from ..monitoring.bin_counts import MIN_DRIFT_ROWS, BinCounts
from ..version.binning import MISSING_BIN, CategoryBins, NumberBins, field_of
from ..version.drift import psi, with_half_rows
from ..version.reference_profile import Profile
from . import intervals
from .summary import Estimate, FieldDrift


class ReferenceRows(NamedTuple):
    """How many rows a version's profile was made of; None where the version does not say."""

    training: int | None = None
    holdout: int | None = None


def fields(counts: BinCounts, profile: Profile, reference: ReferenceRows, keys: set[str]) -> Iterator[FieldDrift]:
    """Yield the drift of each feature and output; `keys` are the fields whose reference are the hold-out rows."""
    parts: tuple[tuple[Literal["feature", "output"], Mapping[str, NumberBins | CategoryBins], Mapping[str, np.ndarray]]]
    parts = (  # type: ignore[assignment]
        ("feature", profile.features, counts.features),
        ("output", profile.outputs, counts.outputs),
    )
    for part, all_bins, found in parts:
        for name, bins in all_bins.items():
            of_holdout = part == "output" or field_of(name) != name or name in keys
            rows = found[name] if found else np.zeros(len(bins.names), np.int64)
            size = reference.holdout if of_holdout else reference.training
            missing, missing_reference = _missing(rows, counts.rows, bins)
            if part == "output" and missing and not missing.value:
                missing = missing_reference = None  # every output has the bin, since a model may return NaN
            yield FieldDrift(
                field=name,
                part=part,
                bins=bins.names,
                rows=tuple(rows.tolist()),
                reference=bins.shares,
                psi=_psi(rows, counts.rows, bins, size),
                missing=missing,
                missing_reference=missing_reference,
            )


def _psi(rows: np.ndarray, total: int, bins: NumberBins | CategoryBins, reference_rows: int | None) -> Estimate | None:
    if total < MIN_DRIFT_ROWS or not rows.sum():
        return None
    value = psi(with_half_rows(rows), bins.shares)
    return intervals.of_psi(value, len(bins.names), int(rows.sum()), reference_rows)


def _missing(rows: np.ndarray, total: int, bins: NumberBins | CategoryBins) -> tuple[Estimate | None, float | None]:
    if MISSING_BIN not in bins.names or not total:
        return None, None
    where = bins.names.index(MISSING_BIN)
    return intervals.of_share(int(rows[where]), total), bins.shares[where]
