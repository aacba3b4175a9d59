"""What was decided, in one sentence, and the rules behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...common.plurals import count, days
from ..summary import RuleResult, Summary
from .texts import NONE, brief, clean, number, with_interval

DONE = {"retrain": "Retrain", "report": "Report only", "nothing": "Nothing to do"}
#: More rules than these do not fit into a sentence.
MOST_NAMED = 2
MOST_CHARACTERS = 300


class Rule(NamedTuple):
    """A rule as a row of a table."""

    condition: str
    window: str
    version: int
    found: str
    action: str
    fired: bool
    evaluated: bool
    reason: str


def sentence(summary: Summary) -> str:
    """Return the decision and the rules that led to it."""
    done = DONE[summary.decision]
    if not summary.rules:
        return f"{done}: no rule is set in model/quality.py."
    fired = [rule for rule in summary.rules if rule.fired]
    if not fired:
        unknown = sum(not rule.evaluated for rule in summary.rules)
        rest = f"; {count(unknown, 'rule')} could not be evaluated" if unknown else ""
        return f"{done}: none of {count(len(summary.rules), 'rule')} fired{rest}."
    who = f"of version {', '.join(map(str, sorted({rule.version for rule in fired})))}"
    named = "; ".join(_found(rule) for rule in fired[:MOST_NAMED])
    more = f"; and {len(fired) - MOST_NAMED} more" if len(fired) > MOST_NAMED else ""
    if len(summary.rules) == 1:
        return f"{done}, because the rule {who} fired: {named}."
    return f"{done}, because {len(fired)} of {len(summary.rules)} rules {who} fired: {named}{more}."


def rules(results: Sequence[RuleResult]) -> list[Rule]:
    """Return the rules, with those that fired first."""
    return [
        Rule(
            condition=f"{clean(rule.metric)} {rule.direction} {number(rule.bound)}",
            window=NONE if _is_exact(rule) else days(rule.days),
            version=rule.version,
            found=number(rule.estimate.value)
            if rule.estimate and _is_exact(rule)
            else with_interval(rule.estimate, brief),
            action=rule.action,
            fired=rule.fired,
            evaluated=rule.evaluated,
            reason=clean(rule.reason, MOST_CHARACTERS),
        )
        for rule in sorted(results, key=lambda rule: not rule.fired)
    ]


def _found(rule: RuleResult) -> str:
    """Return why a rule has fired; the reason names the field, and often the bound."""
    bound = f"{rule.direction} {number(rule.bound)}"
    reason = clean(rule.reason, MOST_CHARACTERS).rstrip(".")
    return reason if reason.endswith(bound) else f"{reason} ({clean(rule.metric)} {bound})"


def _is_exact(rule: RuleResult) -> bool:
    """Whether the figure was not computed from rows: the age of a version has no interval, and no window."""
    return rule.estimate is not None and not rule.estimate.count and rule.estimate.low == rule.estimate.high
