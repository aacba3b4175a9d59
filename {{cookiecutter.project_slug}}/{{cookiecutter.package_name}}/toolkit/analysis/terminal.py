"""What a terminal shows of a summary: its tables, notes and decision, in 80 characters where that can be."""

from __future__ import annotations

from collections.abc import Sequence

from ..common import plurals
from ..common.names import version_label
from .figures import largest_drift
from .summary import Estimate, RuleResult, Summary, VersionSummary

VERSION_HEADINGS = ("version", "rows", "labels", "largest drift", "outliers")
RULE_HEADINGS = ("rule", "found", "result")


def versions(summary: Summary, metrics: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of a table of the versions; `metrics` are the metrics of quality that it shows."""
    shown = [name for name in metrics if any(_quality(version, name) for version in summary.versions)]
    rows = [
        [
            version_label(version.number, version.aliases),
            f"{version.rows:,}",
            f"{version.labels:,}",
            _drift(version),
            "-" if version.outliers is None else f"{100 * version.outliers.value:.1f} %",
            *(_with_error(_quality(version, name)) for name in shown),
        ]
        for version in summary.versions
    ]
    return [*VERSION_HEADINGS, *shown], rows


def _drift(version: VersionSummary) -> str:
    largest = largest_drift(version)
    return "-" if largest is None or largest.psi is None else f"{largest.psi.value:.2f} {largest.field}"


def _quality(version: VersionSummary, metric: str) -> Estimate | None:
    return next((one.estimate for one in version.quality if (one.metric, one.group) == (metric, "")), None)


def _with_error(estimate: Estimate | None) -> str:
    """Return a value with half the width of its interval: a terminal has 80 characters."""
    return "-" if estimate is None else f"{estimate.value:.3f} ± {(estimate.high - estimate.low) / 2:.3f}"


def rules(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of a table of the rules."""
    return list(RULE_HEADINGS), [_rule(result) for result in summary.rules]


def notes(summary: Summary) -> list[str]:
    """Return the notes on the whole, on versions, and on rules that could not be evaluated."""
    of_versions = [f"version {version.number}: {note}" for version in summary.versions for note in version.notes]
    of_rules = [result.reason for result in summary.rules if not result.evaluated]
    return [*summary.notes, *of_versions, *of_rules]


def decision(summary: Summary) -> str:
    """Return the decision with its reasons."""
    if summary.decision != "nothing":
        return f"{summary.decision}, since {'; '.join(result.reason for result in summary.rules if result.fired)}"
    if not summary.rules:
        return "nothing to do; model/quality.py has no RULES"
    unknown = sum(not result.evaluated for result in summary.rules)
    return "nothing to do" + (f"; {plurals.count(unknown, 'rule')} could not be evaluated" if unknown else "")


def _rule(result: RuleResult) -> list[str]:
    estimate, over, shown = result.estimate, f" over {plurals.days(result.days)}", _interval(result.estimate)
    if result.metric == "age":
        over, shown = " days", "-" if estimate is None else f"{estimate.value:.1f} days"
    rule = f"{result.metric} {result.direction} {result.bound:g}{over}"
    return [rule, shown, result.action if result.fired else "quiet" if result.evaluated else "not evaluated"]


def _interval(estimate: Estimate | None) -> str:
    """Return a value with its interval, as in "0.31 (0.28 to 0.35)"."""
    if estimate is None:
        return "-"
    return f"{estimate.value:.3g} ({estimate.low:.3g} to {estimate.high:.3g})"
