"""Summaries to be shown: a usual one, and one whose names and values are an attack or no numbers at all."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from titanic_survival.toolkit.analysis.summary import (
    CalibrationPoint,
    Estimate,
    FieldDrift,
    OutlierRow,
    Quality,
    RuleResult,
    Summary,
    Traffic,
    VersionSummary,
)

END = datetime(2026, 3, 9, 9, tzinfo=UTC)
START = END - timedelta(days=7)
ATTACK = "\"><script>alert(1)</script><img src=x onerror=alert(1)>' {{ 7*7 }} {% raw %} &amp; </style>\x00\u202e"
FIRED = "all of the interval is above 0.25"
LONG = "long" * 2000
NAN, INF = math.nan, math.inf


def estimate(value: float, margin: float = 0.01, count: int = 1000) -> Estimate:
    """Return an estimate with an interval of twice the margin."""
    return Estimate(value=value, low=value - margin, high=value + margin, count=count)


def drift(field: str, psi: float | Estimate | None, **changes: Any) -> FieldDrift:
    """Return the drift of a field with three bins."""
    parts = {
        "field": field,
        "part": "feature",
        "bins": ("00 <1", "01 1..5", "missing"),
        "rows": (20, 70, 10),
        "reference": (0.25, 0.5, 0.25),
        "psi": estimate(psi) if isinstance(psi, float) else psi,
    }
    return FieldDrift(**(parts | changes))


def quality(metric: str, value: float, group: str = "", day: int | None = None) -> Quality:
    """Return a metric of the whole time, or of a day of it."""
    start, end = (START, END) if day is None else (START + timedelta(days=day), START + timedelta(days=day + 1))
    return Quality(metric=metric, group=group, start=start, end=end, estimate=estimate(value))


def outlier(inputs: dict[str, Any], **changes: Any) -> OutlierRow:
    """Return a rare row."""
    parts = {"id": "row-1", "time": END, "score": 14.25, "inputs": inputs, "outputs": {"survived": True}}
    return OutlierRow(**(parts | changes))


def rule(metric: str = "drift/age", fired: bool = True, **changes: Any) -> RuleResult:
    """Return the result of a rule."""
    parts = {
        "metric": metric,
        "direction": "above",
        "bound": 0.25,
        "days": 7,
        "action": "retrain",
        "version": 3,
        "estimate": estimate(0.41),
        "fired": fired,
        "reason": "drift of age is 0.41 (0.4 to 0.42) of 1,000 rows: " + (FIRED if fired else "not above 0.25"),
    }
    return RuleResult(**(parts | changes))


def version(number: int = 3, **changes: Any) -> VersionSummary:
    """Return a version with all that a summary may have."""
    days = range(7)
    parts = {
        "number": number,
        "aliases": ("champion",),
        "trained": datetime(2026, 1, 12, 14, 3, tzinfo=UTC),
        "rows": 18432,
        "labels": 4210,
        "traffic": tuple(
            Traffic(start=START + timedelta(days=d), end=START + timedelta(days=d + 1), rows=2600 + d, shadow=600)
            for d in days
        ),
        "drift": (
            drift("fare", 0.12),
            drift("age", 0.41, missing=estimate(0.1), missing_reference=0.25),
            drift("port", 0.01, missing=estimate(0.04), missing_reference=0.002),
            drift("probability", 0.02, part="output"),
        ),
        "quality": (
            quality("accuracy", 0.76).model_copy(update={"difference": estimate(-0.0446, 0.025)}),
            quality("accuracy", 0.8, "sex/female"),
        ),
        "quality_over_time": tuple(
            quality("accuracy", 0.8 - 0.01 * d, group, d) for group in ("", "sex/female") for d in days
        ),
        "quality_reference": {"accuracy": 0.8046, "accuracy/sex/female": 0.78},
        "calibration": tuple(
            CalibrationPoint(predicted=p, observed=estimate(p * 0.9)) for p in (0.1, 0.3, 0.5, 0.7, 0.9)
        ),
        "outliers": estimate(0.031, 0.003),
        "outliers_reference": 0.0103,
        "outlier_rows": (outlier({"age": 91.0, "sex": "male", "port": None}),),
    }
    return VersionSummary(**(parts | changes))


def summary(*versions: VersionSummary, **changes: Any) -> Summary:
    """Return a summary of versions."""
    parts = {"model": "titanic-survival", "made": END, "source": "log/", "start": START, "end": END}
    return Summary(**(parts | {"versions": versions} | changes))


def hostile(versions: int = 10, features: int = 200, categories: int = 50) -> Summary:
    """Return a summary of many versions, features and categories, each name and value of which is an attack."""
    nothing = Estimate(value=NAN, low=-INF, high=INF, count=0)
    fields = tuple(
        drift(
            f"{ATTACK} {i}",
            (nothing, Estimate(value=INF, low=0, high=INF, count=1), estimate(i / 100), None)[i % 4],
            bins=tuple(f"{ATTACK} {j} {LONG}" for j in range(categories)),
            rows=tuple(range(categories)),
            reference=(NAN, INF, *[0.0] * (categories - 3)),
            missing=nothing,
            missing_reference=NAN,
        )
        for i in range(features)
    )
    numbers = (1e308, -1e308, NAN, INF, -INF, 0, 5e-324)
    metrics = tuple(
        Quality(metric=f"{ATTACK} {LONG}", group=f"{ATTACK}/{g}", start=START, end=END, estimate=estimate(number))
        for number in numbers
        for g in range(20)
    )
    values = [ATTACK, LONG, *numbers, 10**400, None, [1.5] * 500, {"a": "</td>"}, True, "\ud800"]
    times = (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59))
    rows = tuple(
        outlier({f"{ATTACK} {i}": values[i % len(values)] for i in range(n)}, id=LONG, score=NAN, time=times[n % 2])
        for n in (5, features)
    )
    parts = {
        "aliases": (ATTACK, LONG),
        "drift": fields,
        "quality": metrics,
        "quality_over_time": metrics,
        "quality_reference": {f"{ATTACK} {LONG}": NAN},
        "calibration": (
            CalibrationPoint(predicted=NAN, observed=nothing),
            CalibrationPoint(predicted=7, observed=nothing),
        ),
        "outliers": nothing,
        "outliers_reference": NAN,
        "outlier_rows": rows,
        "traffic": (
            Traffic(start=START, end=START, rows=10**15),
            Traffic(start=times[0], end=times[1], rows=0, shadow=9),
        ),
        "notes": (ATTACK, LONG),
    }
    rules = tuple(rule(ATTACK, bool(i % 2), bound=NAN, days=INF, estimate=nothing, reason=LONG) for i in range(4))
    found = tuple(version(number, **parts) for number in range(versions))
    return summary(*found, model=ATTACK, source=LONG, start=END, rules=rules, decision="report", notes=(ATTACK, LONG))
