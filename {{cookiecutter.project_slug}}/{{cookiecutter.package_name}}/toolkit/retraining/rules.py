"""Rules: bounds on what is measured of the champion, in `model/quality.py`; one that fires reports, or trains again.

A rule fires if the whole confidence interval lies beyond its bound and there are enough rows: ten rows decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ..analysis.quality import FEWEST_ROWS as FEWEST_LABELS
from ..analysis.quality import Effort
from ..analysis.summary import Estimate, FieldDrift, RuleResult
from ..analysis.version_analysis import VersionAnalysis
from ..analysis.window import Window
from ..common import plurals
from ..common.errors import UserError
from ..common.invalid_values import describe
from ..monitoring.bin_counts import MIN_DRIFT_ROWS

EXAMPLE = 'For example: RULES = [{"metric": "drift", "above": 0.25, "days": 7, "action": "retrain"}]'
DRIFT, OUTPUT_DRIFT, OUTLIERS, MISSING, AGE = "drift", "output_drift", "outliers", "missing", "age"
#: The fewest rows that a rule may decide by.
FEWEST_ROWS = 30
#: The days of the longest window.
MOST_DAYS = 1000
SECONDS_A_DAY = 86_400


def _no_bool(value: Any) -> Any:
    # True would be 1.
    if isinstance(value, bool):
        raise ValueError("give a number")
    return value


Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]


class Rule(BaseModel):
    """A bound on one metric of the champion, over so many days."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(min_length=1)
    above: Number | None = None
    below: Number | None = None
    days: Annotated[float, BeforeValidator(_no_bool)] = Field(default=7, gt=0, le=MOST_DAYS)
    rows: int = Field(default=200, ge=FEWEST_ROWS)
    action: Literal["retrain", "report"] = "retrain"

    @model_validator(mode="after")
    def _one_bound(self) -> Rule:
        if (self.above is None) == (self.below is None):
            raise ValueError("give either 'above' or 'below'")
        return self

    @property
    def direction(self) -> Literal["above", "below"]:
        """On which side of the bound the rule fires."""
        return "below" if self.above is None else "above"

    @property
    def bound(self) -> float:
        """The number of the bound."""
        bound = self.below if self.above is None else self.above
        assert bound is not None  # the validator allows no rule without one
        return bound

    def is_beyond(self, estimate: Estimate) -> bool:
        """Whether a whole interval lies beyond the bound."""
        return estimate.low > self.bound if self.direction == "above" else estimate.high < self.bound


class Found(NamedTuple):
    """What was measured for a rule, of which field, or why nothing was."""

    estimate: Estimate | None
    name: str = ""
    problem: str = ""


def parse(rules: Any) -> list[Rule]:
    """Return the rules of `model/quality.py`; `UserError` lists the entries that are no rules."""
    try:
        return TypeAdapter(list[Rule]).validate_python(rules)
    except ValidationError as error:
        lines = [f"  - {_place(e['loc'], rules)}: {describe(e, Rule.model_fields)}" for e in error.errors()]
        raise UserError("\n".join(["model/quality.py: RULES cannot be read:", *lines, EXAMPLE])) from None


def _place(location: Sequence[Any], rules: Any) -> str:
    """Return where a mistake is: the number of the rule, its metric, and the key."""
    if not location:
        return "RULES"
    number, *keys = location
    try:
        name = f" ({rules[number]['metric']})"
    except (KeyError, TypeError, IndexError):
        name = ""
    return ".".join([f"rule {number + 1 if isinstance(number, int) else number}{name}", *map(str, keys)])


def most_days(rules: Iterable[Rule]) -> float:
    """Return the days of the longest window, 0 without rules."""
    return max((rule.days for rule in rules if rule.metric != AGE), default=0)


def fewest_days(rules: Iterable[Rule]) -> float:
    """Return the days of the shortest window, infinity without rules."""
    return min((rule.days for rule in rules if rule.metric != AGE), default=math.inf)


def evaluate(rules: Iterable[Rule], champion: VersionAnalysis, window: Window, now: datetime) -> list[RuleResult]:
    """Return the result of each rule for the champion; `UserError` for a metric that does not exist."""
    return [_evaluate(rule, champion, window, now) for rule in rules]


def decision(results: Iterable[RuleResult]) -> Literal["nothing", "report", "retrain"]:
    """Return what is to be done: the strongest action of the rules that fired."""
    actions = {result.action for result in results if result.fired}
    return "retrain" if "retrain" in actions else "report" if actions else "nothing"


def _evaluate(rule: Rule, champion: VersionAnalysis, window: Window, now: datetime) -> RuleResult:
    found = _measure(rule, champion, window.last(rule.days), now)
    fired, reason = _judge(rule, found)
    return RuleResult(
        metric=rule.metric,
        direction=rule.direction,
        bound=rule.bound,
        days=rule.days,
        action=rule.action,
        version=champion.number,
        estimate=found.estimate,
        fired=fired,
        evaluated=_is_enough(rule, found.estimate),
        reason=reason,
    )


def _is_enough(rule: Rule, estimate: Estimate | None) -> bool:
    """Whether there is a figure, of enough rows; an age has none."""
    return estimate is not None and (rule.metric == AGE or estimate.count >= rule.rows)


def _judge(rule: Rule, found: Found) -> tuple[bool, str]:
    """Return whether a rule fires, and why, in one sentence."""
    estimate = found.estimate
    if estimate is None:
        return False, f"{rule.metric} is not known: {found.problem}"
    if rule.metric == AGE:
        fired = rule.is_beyond(estimate)
        return fired, f"the champion was trained {estimate.value:.1f} days ago"
    figures = f"{found.name or rule.metric} is {estimate.value:.3g} ({estimate.low:.3g} to {estimate.high:.3g})"
    figures += f" of {plurals.count(estimate.count, 'row')}"
    if not _is_enough(rule, estimate):
        return False, f"{figures}; the rule needs {rule.rows:,}"
    if rule.is_beyond(estimate):
        return True, f"{figures}: all of the interval is {rule.direction} {rule.bound:g}"
    point = estimate.value > rule.bound if rule.direction == "above" else estimate.value < rule.bound
    why = f"not all of the interval is {rule.direction} {rule.bound:g}" if point else f"not {rule.direction}"
    return False, f"{figures}: {why}{'' if point else f' {rule.bound:g}'}"


def _measure(rule: Rule, champion: VersionAnalysis, where: range, now: datetime) -> Found:
    kind, _, name = rule.metric.partition("/")
    if rule.metric == AGE:
        return _age(champion, now)
    if kind in (DRIFT, OUTPUT_DRIFT):
        return _drift(rule, champion, where, "feature" if kind == DRIFT else "output", name)
    if rule.metric == OUTLIERS:
        return Found(champion.outliers(where), "the share of outliers", _no_rows(rule, champion, where))
    if kind == MISSING:
        return _missing(rule, champion, where, name)
    return _quality(rule, champion, where)


def _age(champion: VersionAnalysis, now: datetime) -> Found:
    if champion.trained is None:
        return Found(None, problem="the champion does not say when it was trained")
    days = (now - champion.trained).total_seconds() / SECONDS_A_DAY
    return Found(Estimate(value=days, low=days, high=days, count=0))


def _drift(rule: Rule, champion: VersionAnalysis, where: range, part: str, name: str) -> Found:
    fields = [field for field in champion.drift(where) if field.part == part]
    if name:
        fields = [_named(rule, fields, name)] if fields else []
    found = [(field.psi, field.field) for field in fields if field.psi]
    if not found:
        return Found(
            None, problem=_no_rows(rule, champion, where) or _too_few(champion.rows(where), "row", MIN_DRIFT_ROWS, rule)
        )
    # By its lower end: the rule fires if that of any field is above the bound.
    psi, largest = max(found, key=lambda one: (one[0].low, one[0].value))
    return Found(psi, f"{rule.metric.partition('/')[0]} of {largest}")


def _missing(rule: Rule, champion: VersionAnalysis, where: range, name: str) -> Found:
    fields = [field for field in champion.drift(where) if field.part == "feature"]
    if not fields:
        return Found(None, problem=_no_rows(rule, champion, where))
    field = _named(rule, fields, name)
    if field.missing is None:
        raise UserError(f"model/quality.py: RULES names {rule.metric!r}, but {name} is a field that is never missing")
    return Found(field.missing)


def _named(rule: Rule, fields: Sequence[FieldDrift], name: str) -> FieldDrift:
    found = next((field for field in fields if field.field == name), None)
    if found is None:
        names = ", ".join(field.field for field in fields)
        raise UserError(f"model/quality.py: RULES names {rule.metric!r}, but there is no {name!r}; there are: {names}")
    return found


def _quality(rule: Rule, champion: VersionAnalysis, where: range) -> Found:
    known = champion.details.get("metrics", {})
    if known and rule.metric not in known and rule.metric.partition("/")[0] not in known:
        ours = DRIFT, OUTPUT_DRIFT, OUTLIERS, AGE, *(f"{kind}/<field>" for kind in (DRIFT, OUTPUT_DRIFT, MISSING))
        names = [*ours, *(name for name in known if "/" not in name), *[name for name in known if "/" in name][:1]]
        raise UserError(f"model/quality.py: RULES names {rule.metric!r}; there are: {', '.join(names)}")
    metric, _, group = rule.metric.partition("/")
    for found in champion.quality(where, Effort(), group):
        if metric in found.estimates:
            return Found(found.estimates[metric])
    if problem := _no_rows(rule, champion, where):
        return Found(None, problem=problem)
    labels = champion.labels(where)
    if labels < FEWEST_LABELS:
        return Found(None, problem=_too_few(labels, "label", FEWEST_LABELS, rule))
    return Found(None, problem=f"it cannot be computed on the {labels:,} labels of {plurals.days(rule.days)}")


def _no_rows(rule: Rule, champion: VersionAnalysis, where: range) -> str:
    if champion.reference is None:
        return f"version {champion.number} cannot be read: {champion.source.problem}"
    rows = champion.rows(where)
    if not rows:
        return f"version {champion.number} has no rows in {plurals.days(rule.days)}"
    return "" if champion.outliers(where) else f"none of {rows:,} rows has the champion's fields"


def _too_few(count: int, thing: str, fewest: int, rule: Rule) -> str:
    return f"{plurals.count(count, thing)} in {plurals.days(rule.days)}; {fewest} are needed"
