"""Rules: what they measure, when they fire, and what is said of those that cannot be read."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from titanic_survival.toolkit.analysis import intervals
from titanic_survival.toolkit.analysis.quality import GroupEstimates
from titanic_survival.toolkit.analysis.summary import Estimate, FieldDrift, RuleResult
from titanic_survival.toolkit.analysis.version_analysis import VersionSource
from titanic_survival.toolkit.analysis.window import Window
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.retraining import rules

NOW = datetime(2026, 11, 22, tzinfo=UTC)
WINDOW = Window.of(NOW, 30)


def psi(low: float, value: float, high: float, rows: int = 5000) -> Estimate:
    return Estimate(low=low, value=value, high=high, count=rows)


class Champion:
    """What rules ask of a version's analysis; figures are those of 5,000 rows."""

    number = 4
    source = VersionSource(4, problem="gone")
    reference: Any = object()
    trained: datetime | None = NOW - timedelta(days=40)
    details: ClassVar[dict[str, Any]] = {"metrics": {"accuracy": 0.8, "f1": 0.7, "accuracy/sex/female": 0.8}}
    asked: list[range]

    def __init__(self) -> None:
        self.asked = []

    def rows(self, where: range) -> int:
        """Return the number of rows."""
        return 5000

    def drift(self, where: range) -> tuple[FieldDrift, ...]:
        """Return a certain drift of a field, and a larger one that may be chance."""
        self.asked.append(where)
        names: dict[str, Any] = {"bins": ("a", "b"), "rows": (1, 1), "reference": (0.5, 0.5)}
        return (
            FieldDrift(field="age", part="feature", psi=psi(0.28, 0.30, 0.33), missing=psi(0.1, 0.2, 0.3), **names),
            FieldDrift(field="fare", part="feature", psi=psi(0.20, 0.31, 0.40), **names),
            FieldDrift(field="survived", part="output", psi=psi(0.0, 0.01, 0.02), **names),
        )

    def outliers(self, where: range) -> Estimate | None:
        """Return 6 %."""
        return intervals.of_share(300, 5000)

    def labels(self, where: range) -> int:
        """Return the number of rows with labels."""
        return 3

    def quality(self, where: range, effort: Any, only: str | None = None) -> Any:
        """Yield an accuracy that is certainly low, and one of a group that may be chance."""
        if only == "":
            yield GroupEstimates("", {"accuracy": psi(0.70, 0.72, 0.74)})
        if only == "sex/female":
            yield GroupEstimates("sex/female", {"accuracy": psi(0.70, 0.74, 0.78)})


def result(rule: dict[str, Any], champion: Any = None) -> RuleResult:
    (found,) = rules.evaluate(rules.parse([rule]), champion or Champion(), WINDOW, NOW)
    return found


@pytest.mark.parametrize(
    ("rule", "fired", "reason"),
    [
        ({"metric": "drift", "above": 0.25}, True, "drift of age is 0.3 (0.28 to 0.33)"),
        ({"metric": "drift", "above": 0.29}, False, "not all of the interval is above 0.29"),
        ({"metric": "drift/fare", "above": 0.25}, False, "not all of the interval"),
        ({"metric": "output_drift/survived", "above": 0.1}, False, "not above 0.1"),
        ({"metric": "output_drift", "above": -1}, True, "output_drift of survived"),
        ({"metric": "missing/age", "above": 0.05}, True, "missing/age is 0.2 (0.1 to 0.3)"),
        ({"metric": "outliers", "above": 0.05}, True, "outliers is 0.06"),
        ({"metric": "outliers", "above": 0.05, "rows": 5001}, False, "the rule needs 5,001"),
        ({"metric": "accuracy", "below": 0.75}, True, "of 5,000 rows"),
        ({"metric": "accuracy", "below": 0.73}, False, "not all of the interval is below 0.73"),
        ({"metric": "accuracy/sex/female", "below": 0.75}, False, "accuracy/sex/female is 0.74"),
        ({"metric": "f1", "below": 0.75}, False, "f1 is not known: 3 labels in 7 days; 20 are needed"),
        ({"metric": "age", "above": 30}, True, "trained 40.0 days ago"),
        ({"metric": "age", "above": 50}, False, "trained 40.0 days ago"),
    ],
)
def test_rule_fires_if_the_whole_interval_lies_beyond_the_bound(rule: dict[str, Any], fired: bool, reason: str) -> None:
    found = result(rule)
    assert (found.fired, found.version) == (fired, 4)
    assert reason in found.reason


def test_rule_looks_at_its_own_days() -> None:
    champion = Champion()
    result({"metric": "drift", "above": 0.25, "days": 2}, champion)
    assert champion.asked == [WINDOW.last(2)]
    assert (
        rules.most_days(rules.parse([{"metric": "drift", "above": 1, "days": 3}, {"metric": "age", "above": 1}])) == 3
    )
    assert rules.most_days([]) == 0


@pytest.mark.parametrize("count", [10, 100])
def test_few_rows_decide_nothing_however_bad_they_are(count: int) -> None:
    class Few(Champion):
        def quality(self, where: range, effort: Any, only: str | None = None) -> Any:
            yield GroupEstimates("", {"accuracy": intervals.of_share(0, count)})

        def outliers(self, where: range) -> Estimate:
            return intervals.of_share(count, count)

    for rule in ({"metric": "accuracy", "below": 0.75}, {"metric": "outliers", "above": 0.05}):
        found = result(rule, Few())
        assert not found.fired
        assert not found.evaluated
        assert f"{count} rows; the rule needs 200" in found.reason


def test_rule_without_figures_says_why() -> None:
    class Silent(Champion):
        trained = None
        reference = None

        def drift(self, where: range) -> tuple[FieldDrift, ...]:
            return ()

        def outliers(self, where: range) -> None:
            return None

    for metric in ("drift", "outliers", "missing/age"):
        found = result({"metric": metric, "above": 0.1}, Silent())
        reason = f"{metric} is not known: version 4 cannot be read: gone"
        assert (found.fired, found.estimate, found.reason) == (False, None, reason)
    assert "does not say when" in result({"metric": "age", "above": 1}, Silent()).reason


def test_rows_that_cannot_be_compared_are_the_reason() -> None:
    class Misfit(Champion):
        def drift(self, where: range) -> tuple[FieldDrift, ...]:
            return ()

        def outliers(self, where: range) -> None:
            return None

    for metric in ("drift", "outliers", "missing/age"):
        assert result({"metric": metric, "above": 0.1}, Misfit()).reason.startswith(f"{metric} is not known: none of ")


@pytest.mark.parametrize(
    "metric", ["drift/fair", "missing/port", "output_drift/age", "missing/fare", "acuracy", "rows"]
)
def test_metric_that_does_not_exist_is_named(metric: str) -> None:
    with pytest.raises(UserError, match=f"RULES names '{metric}'"):
        result({"metric": metric, "above": 0.1})


def test_metrics_that_exist_are_listed() -> None:
    with pytest.raises(UserError, match="there are: drift, output_drift, outliers, age, drift/<field>"):
        result({"metric": "drfit", "above": 0.1})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([{"metric": "drift"}], r"rule 1 \(drift\): give either 'above' or 'below', not"),
        ([{"metric": "drift", "above": 1, "below": 2}], "give either"),
        ([{"metric": "drift", "above": "much"}], r"rule 1 \(drift\)\.above: .* not 'much'"),
        ([{"metric": "drift", "above": True}], "give a number, not True"),
        ([{"metric": "drift", "above": float("nan")}], "finite"),
        (
            [{"metric": "drift", "above": 1}, {"metric": "age", "abov": 1}],
            r"rule 2 \(age\)\.abov: .* \(did you mean 'above'\?\)",
        ),
        ([{"metric": "drift", "above": 1, "days": 0}], r"rule 1 \(drift\)\.days"),
        ([{"metric": "drift", "above": 1, "rows": 10}], r"\.rows: write at least 30, not 10"),
        ([{"metric": "drift", "above": 1, "action": "deploy"}], "'retrain' or 'report', not 'deploy'"),
        ([{"above": 1}], r"rule 1\.metric: is missing"),
        ({"drift": 1}, "RULES: write a list, not"),
        (["drift"], "rule 1: "),
    ],
)
def test_mistakes_in_rules_are_named(wrong: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        rules.parse(wrong)
    assert "For example: RULES = [" in str(error.value)


def test_strongest_action_decides() -> None:
    report = {"metric": "outliers", "above": 0.05, "action": "report"}
    retrain = {"metric": "drift", "above": 0.25}
    quiet = {"metric": "drift", "above": 9}
    assert rules.decision([]) == rules.decision([result(quiet)]) == "nothing"
    assert rules.decision([result(quiet), result(report)]) == "report"
    assert rules.decision([result(report), result(retrain), result(quiet)]) == "retrain"
