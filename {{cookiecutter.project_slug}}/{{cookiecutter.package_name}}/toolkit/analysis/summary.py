"""The summary of an analysis: figures of every version that answered in a window, small enough for JSON and a page.

The report draws it, rules decide by it, and an MLflow run keeps it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Figures(BaseModel):
    """A part of a summary."""

    model_config = ConfigDict(frozen=True)


class Estimate(Figures):
    """A number with its confidence interval; `count` is the number of rows that it is computed from."""

    value: float
    low: float
    high: float
    count: int


class FieldDrift(Figures):
    """The rows of a feature or an output by bin, beside the reference profile of the version.

    `psi` is None below the rows that it needs. `missing` is the share of rows without a value, None if the field always
    has one.
    """

    field: str
    part: Literal["feature", "output"]
    bins: tuple[str, ...]
    rows: tuple[int, ...]
    reference: tuple[float, ...]
    psi: Estimate | None
    missing: Estimate | None = None
    missing_reference: float | None = None


class Quality(Figures):
    """A metric of rows whose labels have arrived, from `start` to `end`.

    `group` is "" for all rows, or one of `SLICES`, as "sex/female".
    """

    metric: str
    group: str
    start: datetime
    end: datetime
    estimate: Estimate
    #: From the hold-out rows of the training; None where their figure or their number is not known.
    difference: Estimate | None = None


class CalibrationPoint(Figures):
    """Of rows with probabilities around `predicted`, the share of the class that was predicted with them."""

    predicted: float
    observed: Estimate


class OutlierRow(Figures):
    """A row that is rarer than almost all of the training rows; `score` is higher the rarer it is."""

    id: str
    time: datetime
    score: float
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class Traffic(Figures):
    """The rows of one version from `start` to `end`; `shadow` rows were scored beside the answer."""

    start: datetime
    end: datetime
    rows: int
    shadow: int = 0


class VersionSummary(Figures):
    """What one version did in the window."""

    number: int
    aliases: tuple[str, ...] = ()
    trained: datetime | None = None
    rows: int
    #: Labels that belong to rows of this version; one that was sent twice counts once.
    labels: int
    traffic: tuple[Traffic, ...] = ()
    drift: tuple[FieldDrift, ...] = ()
    #: Of the whole window, by metric and group.
    quality: tuple[Quality, ...] = ()
    #: The same in shorter spans, in the order of time.
    quality_over_time: tuple[Quality, ...] = ()
    #: Of the hold-out rows, by metric and group.
    quality_reference: dict[str, float] = {}
    calibration: tuple[CalibrationPoint, ...] = ()
    outliers: Estimate | None = None
    outliers_reference: float | None = None
    outlier_rows: tuple[OutlierRow, ...] = ()
    #: Why something above is missing, in sentences: no labels yet, too few rows, a profile that cannot be read.
    notes: tuple[str, ...] = ()


class RuleResult(Figures):
    """What a rule of model/quality.py found; `fired` only where the whole interval lies beyond the bound."""

    metric: str
    direction: Literal["above", "below"]
    bound: float
    days: float
    action: Literal["retrain", "report"]
    version: int
    estimate: Estimate | None
    fired: bool
    #: Whether there were enough rows to decide by.
    evaluated: bool = True
    reason: str


class Summary(Figures):
    """All that `make monitor` found."""

    model: str
    made: datetime
    #: Where the rows come from: a folder, s3://..., or the address of a Prometheus.
    source: str
    start: datetime
    end: datetime
    versions: tuple[VersionSummary, ...]
    rules: tuple[RuleResult, ...] = ()
    decision: Literal["nothing", "report", "retrain"] = "nothing"
    #: What could not be used, in sentences: damaged lines, labels without a prediction, labels sent twice.
    notes: tuple[str, ...] = ()
