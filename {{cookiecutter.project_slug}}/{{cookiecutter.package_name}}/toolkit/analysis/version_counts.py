"""What is counted of a version's logged rows, interval by interval: bins, outliers, and the rows that have labels."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..common.names import GOLDEN_KEY
from ..contract.columns import Columns, concatenate, take
from ..contract.schema import Contract, FieldSpec
from ..monitoring.bin_counts import BinCounts
from ..version import formats
from ..version.artifact import CONTRACT, PROFILE
from ..version.binning import count
from ..version.outputs import DTYPES
from ..version.reference_profile import Profile
from . import block_values
from .id_numbers import id_numbers
from .label_log import Labels
from .log_blocks import LogBlock
from .window import Window

#: The rarest rows that are kept of each version.
MOST_OUTLIERS = 20


class Reference(NamedTuple):
    """What the rows of a version are compared with."""

    contract: Contract
    profile: Profile

    @classmethod
    def read(cls, folder: Path) -> Reference:
        """Return contract and profile of a version's folder; the model itself is not opened."""
        contract = Contract.model_validate(formats.read(folder, CONTRACT))
        return cls(contract, Profile.model_validate(formats.read(folder, PROFILE)))


class RareRow(NamedTuple):
    """A row that is an outlier; rows are ordered by their scores."""

    score: float
    id: str
    #: Microseconds since 1970.
    time: int
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class LabelledPart(NamedTuple):
    """Rows (n,) that have labels: the numbers of their predictions, their interval, outputs and features of groups."""

    numbers: np.ndarray
    intervals: np.ndarray
    outputs: Columns
    groups: Columns


@dataclass
class VersionCounts:
    """What was counted of a version; without `has_bins`, its reference was not there, and only rows were counted."""

    has_bins: bool
    rows: Counter[int] = field(default_factory=Counter)
    shadow: Counter[int] = field(default_factory=Counter)
    bins: dict[int, BinCounts] = field(default_factory=dict)
    rare: list[RareRow] = field(default_factory=list)
    labelled: list[LabelledPart] = field(default_factory=list)
    #: Rows whose fields are not those of the contract.
    misfits: int = 0
    #: Rows that are left out: those of golden requests, and those without a time, or with one after the window.
    golden: int = 0
    late: int = 0

    def add(self, other: VersionCounts) -> None:
        """Add what was counted of other rows of this version."""
        self.has_bins |= other.has_bins
        self.rows += other.rows
        self.shadow += other.shadow
        for interval, counts in other.bins.items():
            self.bins[interval] = self.bins.get(interval, BinCounts()) + counts
        self.rare = heapq.nlargest(MOST_OUTLIERS, [*self.rare, *other.rare], key=lambda row: row.score)
        self.labelled += other.labelled
        self.misfits += other.misfits
        self.golden += other.golden
        self.late += other.late

    def bins_of(self, intervals: Iterable[int]) -> BinCounts:
        """Return the counts of some intervals."""
        return sum((self.bins[i] for i in intervals if i in self.bins), BinCounts())

    def labelled_rows(self) -> LabelledPart | None:
        """Return all rows that have labels, each prediction once; None if there are none."""
        if not self.labelled:
            return None
        numbers = np.concatenate([part.numbers for part in self.labelled])
        _, first = np.unique(numbers, return_index=True)
        return LabelledPart(
            numbers[first],
            np.concatenate([part.intervals for part in self.labelled])[first],
            take(concatenate([part.outputs for part in self.labelled]), first),
            take(concatenate([part.groups for part in self.labelled]), first),
        )


@np.errstate(over="ignore", invalid="ignore")  # a number that no float32 has counts as infinite
def of_block(
    block: LogBlock, window: Window, reference: Reference | None, labels: Labels, groups: Iterable[str]
) -> VersionCounts | None:
    """Return the counts of a block's rows in the window; None if it has none.

    Rows that another model logged, which has the same name, count as traffic alone. `groups` are the features that are
    kept of rows with labels.
    """
    intervals = window.positions(block.time)
    found = VersionCounts(reference is not None, late=window.count_late(block.time))
    if GOLDEN_KEY in block.keys:
        golden = np.array([key == GOLDEN_KEY for key in block.keys])
        found.golden = int(np.count_nonzero(golden & (intervals >= 0)))
        intervals[golden] = -1
    inside = np.flatnonzero(intervals >= 0)
    if not len(inside):
        return found if found.late or found.golden else None
    numbers, sizes = np.unique(intervals[inside], return_counts=True)
    found.rows = Counter(dict(zip(numbers.tolist(), sizes.tolist(), strict=True)))
    found.shadow = Counter(found.rows) if block.shadow else Counter()
    if reference is None:
        return found
    try:
        columns = _columns(block.inputs, reference.contract.row, {})
        outputs = _columns(block.outputs, reference.contract.prediction, DTYPES)
        if len(inside) < len(intervals):
            columns, outputs, intervals = take(columns, inside), take(outputs, inside), intervals[inside]
        _count(found, _Rows(block, inside, intervals, columns, outputs), reference.profile)
    except (KeyError, TypeError, ValueError, OverflowError):
        return _without_misfits(block, window, reference, labels, groups, found)
    ids = id_numbers(block.ids)[inside] if len(labels.numbers) else np.array([], np.uint64)
    has_label = np.flatnonzero(labels.positions(ids) >= 0)
    if len(has_label):
        kept = {name: columns[name][has_label] for name in groups if name in columns}
        part = LabelledPart(ids[has_label], intervals[has_label], take(outputs, has_label), kept)
        found.labelled.append(part)
    return found


def _without_misfits(
    block: LogBlock,
    window: Window,
    reference: Reference,
    labels: Labels,
    groups: Iterable[str],
    traffic: VersionCounts,
) -> VersionCounts:
    """Return the counts of a block's rows, of which some or all were not logged by this version: these are traffic."""
    fits = np.flatnonzero(block_values.fits(block, reference.contract)).tolist()
    found = None
    if 0 < len(fits) < len(block.ids):
        found = of_block(block_values.rows_at(block, fits), window, reference, labels, groups)
    found = found or VersionCounts(traffic.has_bins)
    found.misfits += traffic.rows.total() - found.rows.total()
    return replace(found, rows=traffic.rows, shadow=traffic.shadow, golden=traffic.golden, late=traffic.late)


class _Rows(NamedTuple):
    """The rows of a block that are in the window; `where` has their positions in the block."""

    block: LogBlock
    where: np.ndarray
    intervals: np.ndarray
    columns: Columns
    outputs: Columns


def _count(found: VersionCounts, rows: _Rows, profile: Profile) -> None:
    """Count rows by bin in each interval, and keep the rarest."""
    positions = profile.positions(rows.columns)
    of_outputs = {name: bins.assign(rows.outputs[name]) for name, bins in profile.outputs.items()}
    scores = profile.outliers.score(profile.features, rows.columns, positions)
    outliers = scores > profile.outliers.threshold
    for interval in found.rows:
        here = slice(None) if len(found.rows) == 1 else np.flatnonzero(rows.intervals == interval)
        found.bins[interval] = BinCounts(
            found.rows[interval],
            int(np.count_nonzero(outliers[here])),
            {name: count(bins, positions[name][here]) for name, bins in profile.features.items()},
            {name: count(bins, of_outputs[name][here]) for name, bins in profile.outputs.items()},
        )
    candidates = np.flatnonzero(outliers)
    rarest = candidates[np.argsort(-scores[candidates], kind="stable")[:MOST_OUTLIERS]]
    found.rare = [_rare_row(rows.block, int(rows.where[i]), float(scores[i])) for i in rarest.tolist()]


def _rare_row(block: LogBlock, i: int, score: float) -> RareRow:
    inputs, outputs = ({name: values[i] for name, values in part.items()} for part in (block.inputs, block.outputs))
    return RareRow(score, block.ids[i], int(block.time[i].astype(np.int64)), inputs, outputs)


def _columns(lists: dict[str, list[Any]], fields: Iterable[FieldSpec], types: dict[str, type]) -> Columns:
    """Return logged values as columns; an error that `of_block` catches if they are not of the fields.

    `types` has the data types by kind that are not float32.
    """
    return {field.name: _array(lists[field.name], field, types.get(field.kind, np.float32)) for field in fields}


def _array(values: list[Any], field: FieldSpec, dtype: type) -> np.ndarray:
    if field.is_text:
        return np.array(values, dtype=object)
    if field.kind == "map":
        values = [[row[name] for name in field.names] for row in values]
    found: np.ndarray = np.array(values, dtype)
    if found.shape != ((len(values),) if field.width is None else (len(values), field.width)):
        raise ValueError(f"{field.name} has the shape {found.shape}")
    return found
