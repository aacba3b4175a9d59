"""The analysis of one version: its figures in any part of the window, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..contract.schema import Contract
from ..training.measurement import Criteria
from ..version import formats
from ..version.artifact import DETAILS
from . import calibration, drift, intervals, labelled, outlier_rows, quality
from .drift import ReferenceRows
from .label_log import Labels
from .labelled import LabelledSample
from .quality import Effort, GroupEstimates, Kinds
from .summary import CalibrationPoint, Estimate, FieldDrift, OutlierRow
from .version_counts import Reference, VersionCounts
from .window import Window


class VersionSource(NamedTuple):
    """Where a version's reference is: its folder, or why there is none; and its aliases in the registry."""

    number: int
    aliases: tuple[str, ...] = ()
    folder: Path | None = None
    problem: str = ""


class VersionAnalysis:
    """What was counted of a version, beside its reference."""

    def __init__(self, source: VersionSource, counts: VersionCounts, labels: Labels, criteria: Criteria | None) -> None:
        self.source, self.counts = source, counts
        self._labels, self._criteria = labels, criteria
        self.details: dict[str, Any] = formats.read(source.folder, DETAILS) if source.folder else {}
        self.reference = Reference.read(source.folder) if source.folder else None

    @property
    def number(self) -> int:
        """The number of the version."""
        return self.source.number

    @property
    def contract(self) -> Contract | None:
        """The schema that the version was trained with, None if it could not be read."""
        return self.reference.contract if self.reference else None

    @property
    def trained(self) -> datetime | None:
        """When the version was trained, None if it does not say."""
        try:
            found = datetime.fromisoformat(str(self.details.get("trained", "")))
        except ValueError:
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    @cached_property
    def sample(self) -> LabelledSample | None:
        """The rows whose labels have arrived, of the whole window."""
        part = self.counts.labelled_rows()
        if part is None or self.contract is None or not self.contract.labels:
            return None
        return labelled.join(part, self._labels, self.contract)

    @cached_property
    def _kinds(self) -> Kinds:
        assert self.sample is not None and self.contract is not None  # without them, there is no quality
        assert self._criteria is not None
        return quality.kinds(self.sample, self._criteria, self.contract)

    def difference(self, metric: str, group: str, now: Estimate) -> Estimate | None:
        """Return by how much a metric differs from that of the hold-out rows, None if that is not known."""
        reference = self.details.get("metrics", {}).get(f"{metric}/{group}" if group else metric)
        rows = self.details.get("groups", {}).get(group) if group else self.details.get("data", {}).get("holdout_rows")
        return intervals.of_difference(now, reference, rows) if reference is not None and rows else None

    def rows(self, where: Iterable[int]) -> int:
        """Return the number of rows in some intervals."""
        return sum(self.counts.rows[i] for i in where)

    def labels(self, where: range) -> int:
        """Return the number of labels that belong to rows in some intervals, about that if labels are sampled."""
        sample = self.labelled(where)
        return 0 if sample is None else round(len(sample) / self._labels.share)

    def drift(self, where: Iterable[int]) -> tuple[FieldDrift, ...]:
        """Return drift and missing values of each feature and output; nothing without a reference."""
        counts = self.counts.bins_of(where)
        if self.reference is None or not counts.rows:
            return ()
        data = self.details.get("data", {})
        sizes = ReferenceRows(data.get("training_rows"), data.get("holdout_rows"))
        keys = {field.name for field in self.reference.contract.row if field.kind == "key"}
        return tuple(drift.fields(counts, self.reference.profile, sizes, keys))

    def outliers(self, where: Iterable[int]) -> Estimate | None:
        """Return the share of outliers."""
        counts = self.counts.bins_of(where)
        return intervals.of_share(counts.outliers, counts.rows) if counts.rows else None

    def outlier_rows(self, window: Window, where: range) -> tuple[OutlierRow, ...]:
        """Return the rarest rows, the rarest first."""
        if self.reference is None:
            return ()
        return outlier_rows.of(self.counts.rare, self.reference.contract, window, where)

    def labelled(self, where: range) -> LabelledSample | None:
        """Return the rows in some intervals whose labels have arrived."""
        if self.sample is None or self.contract is None:
            return None
        return self.sample.within(where, self.contract)

    def quality(self, where: range, effort: Effort, only: str | None = None) -> Iterator[GroupEstimates]:
        """Yield the owner's metrics of all rows and of each group, or of `only` one."""
        sample = self.labelled(where)
        if sample is not None and self.contract is not None and self._criteria is not None:
            yield from quality.estimate(sample, self._criteria, self.contract, self._kinds, effort, only)

    def calibration(self, where: range) -> tuple[CalibrationPoint, ...]:
        """Return the calibration of a classification that has probabilities."""
        sample = self.labelled(where)
        return calibration.points(sample, self.contract) if sample is not None and self.contract else ()
