"""What is compared, with which intervals, and how often the judgement is wrong."""

from math import erf, log, sqrt
from typing import Any

import numpy as np
import pytest
from titanic_survival.toolkit.canary.comparison import Margins, compare, slow_bound
from titanic_survival.toolkit.canary.intervals import of_drifts, of_means, of_shares
from titanic_survival.toolkit.canary.judgement import ALPHA, CRITERIA, Decision, Looks, decide
from titanic_survival.toolkit.monitoring.version_counts import VersionCounts
from titanic_survival.toolkit.version.drift import psi

BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
REFERENCE = np.full(10, 0.1)
STEPS = (1, 5, 25, 50, 100)


def counts(numbers: np.random.Generator, requests: int, **change: Any) -> VersionCounts:
    """Return the counts of a version that gets some requests of one row."""
    how = {
        "errors": 0.002,
        "rejected": 0.03,
        "seconds": 0.003,
        "outputs": REFERENCE,
        "wrong": 0.2,
        "labels": 0.3,
    } | change
    failed = numbers.binomial(requests, how["errors"])
    rejected = numbers.binomial(requests - failed, how["rejected"])
    scored = requests - failed - rejected
    below = [0.5 * (1 + erf(log(bound / how["seconds"]) / 0.6 / sqrt(2))) for bound in BOUNDS] + [1.0]
    times = np.cumsum(numbers.multinomial(requests, np.diff([0.0, *below])))
    labels = numbers.binomial(scored, how["labels"])
    wrong = numbers.binomial(labels, how["wrong"])
    bins = [str(i) for i in range(len(REFERENCE))]
    return VersionCounts(
        requests={"200": scored, "400": rejected, "500": failed},
        seconds=dict(zip([*map(str, BOUNDS), "+Inf"], times.tolist(), strict=True)),
        rows=scored,
        outputs={"y": dict(zip(bins, numbers.multinomial(scored, how["outputs"]).tolist(), strict=True))},
        reference={"y": dict(zip(bins, REFERENCE.tolist(), strict=True))},
        labels={"true": labels - wrong, "false": wrong},
    )


def canary(numbers: np.random.Generator, champion: dict[str, Any], challenger: dict[str, Any]) -> str:
    """Return how a canary with the default settings ends; it waits for 22 looks in each step at most."""
    labels, before = [VersionCounts(), VersionCounts()], VersionCounts()
    for percent in STEPS:
        looks, first, second, requests = Looks(500, len(STEPS)), VersionCounts(), VersionCounts(), 0
        decision = Decision("wait", "")
        for _ in range(22):
            new, requests = looks.next - requests, looks.next
            more = counts(numbers, new, **challenger)
            second, labels[1] = second.plus(more), labels[1].plus(more)
            if percent < 100:
                more = counts(numbers, new * (100 - percent) // percent, **champion)
                first, labels[0] = first.plus(more), labels[0].plus(more)
            alpha = looks.alpha(requests)
            assert alpha is not None
            figures = compare(first if percent < 100 else before, second, (labels[0], labels[1]), Margins(), alpha)
            decision = decide(figures, [] if requests >= 500 else ["requests"])
            if decision.action != "wait":
                break
        before = before.plus(first)
        if decision.action != "go on":
            return decision.action
    return "promoted"


@pytest.mark.parametrize(
    "both", [{}, {"errors": 0.01, "rejected": 0.2, "wrong": 0.4}, {"errors": 0.0003, "rejected": 0}]
)
def test_fine_challenger_passes_in_more_than_95_percent_of_canaries(both: dict[str, Any]) -> None:
    numbers = np.random.default_rng(0)
    ends = [canary(numbers, both, both) for _ in range(60)]
    assert ends.count("promoted") >= 57, ends


@pytest.mark.parametrize(
    ("challenger", "least"),
    [
        ({"errors": 0.03}, 30),
        ({"seconds": 0.05}, 30),
        ({"rejected": 0.1}, 30),
        ({"wrong": 0.3}, 29),
        ({"outputs": np.array([0.3, 0.3, *[0.05] * 8])}, 28),
    ],
)
def test_challenger_that_is_worse_is_found(challenger: dict[str, Any], least: int) -> None:
    numbers = np.random.default_rng(1)
    ends = [canary(numbers, {}, challenger) for _ in range(30)]
    assert ends.count("go back") >= least, ends


def test_all_looks_of_a_canary_together_spend_less_than_alpha() -> None:
    for enough in (50, 500, 100_000):
        spent, requests = 0.0, 0
        for _ in STEPS:
            looks = Looks(enough, len(STEPS))
            for _ in range(1000):
                requests = looks.next
                alpha = looks.alpha(requests)
                assert alpha is not None
                assert looks.alpha(requests) is None  # one look at a time
                spent += CRITERIA * alpha
        assert 0.9 * ALPHA < spent < ALPHA


def test_a_look_is_taken_when_the_requests_are_enough_even_if_earlier_ones_were_passed_over() -> None:
    looks = Looks(500, 5)
    assert looks.next == 29
    assert looks.alpha(28) is None
    first = looks.alpha(400)
    assert first is not None
    assert looks.next == 500
    assert looks.alpha(499) is None
    second = looks.alpha(499, last=True)
    assert second == pytest.approx(first / 3)


@pytest.mark.parametrize("shares", [(0.001, 0.001), (0.02, 0.02), (0.3, 0.3)])
@pytest.mark.parametrize("totals", [(2000, 30), (500, 500)])
def test_limits_of_shares_are_seldom_on_the_wrong_side(shares: tuple[float, float], totals: tuple[int, int]) -> None:
    numbers, alpha = np.random.default_rng(2), 0.01
    draws = [numbers.binomial(total, share, 2000) for total, share in zip(totals, shares, strict=True)]
    found = [of_shares((int(a), int(b)), (totals[0], totals[1]), alpha) for a, b in zip(*draws, strict=True)]
    assert sum(one.low > 0 for one in found) <= 2000 * alpha + 3 * sqrt(2000 * alpha)
    assert sum(one.high < 0 for one in found) <= 2000 * alpha + 3 * sqrt(2000 * alpha)


def test_limits_of_shares_agree_with_known_ones() -> None:
    # None of 368: at most 1 % with 97.5 % confidence, since 0.99 ** 368 = 0.0247.
    found = of_shares((0, 0), (10**9, 368), 0.025)
    assert (found.value, found.high) == (0, pytest.approx(0.00998, abs=2e-5))
    # Newcombe (1998, table II) has 0.0524 to 0.3339 by limits of Wilson; exact ones are wider.
    found = of_shares((48, 56), (80, 70), 0.025)
    assert 0.03 < found.low < 0.0524 < 0.3339 < found.high < 0.36


def test_interval_of_means_is_that_of_two_samples() -> None:
    numbers = np.random.default_rng(3)
    first, second = np.abs(numbers.normal(0, 1, 400)), np.abs(numbers.normal(0, 1.5, 300))
    found = of_means((first.sum(), second.sum()), ((first**2).sum(), (second**2).sum()), (400, 300), 0.025)
    half = 1.96 * sqrt(first.var(ddof=1) / 400 + second.var(ddof=1) / 300)
    assert found.value == pytest.approx(second.mean() - first.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-3)


def test_drift_is_that_of_each_version_from_its_own_reference() -> None:
    numbers = np.random.default_rng(4)
    shares = {"a": 0.5, "b": 0.5}, {"x": 0.7, "y": 0.2, "z": 0.1}
    drifted = {"x": 4000.0, "y": 4000.0, "z": 2000.0}
    same = dict(zip("ab", numbers.multinomial(10_000, [0.5, 0.5]).astype(float), strict=True))
    found = of_drifts((same, drifted), shares, (10_000, 10_000), 0.025)
    assert found.first == pytest.approx(0, abs=0.002)
    assert found.second == pytest.approx(psi([0.4, 0.4, 0.2], [0.7, 0.2, 0.1]), rel=0.01)
    assert found.low < found.value < found.high and found.low > 0.2
    # Few rows have a large PSI by chance, which is taken off.
    many = [
        dict(zip(map(str, range(50)), numbers.multinomial(500, [0.02] * 50).astype(float), strict=True)) for _ in "12"
    ]
    even = dict.fromkeys(map(str, range(50)), 0.02)
    assert abs(of_drifts((many[0], many[1]), (even, even), (500, 500), 0.025).value) < 0.05


def test_a_request_is_slow_if_it_takes_twice_as_long_as_the_champion_usually_does() -> None:
    buckets = {"0.01": 50.0, "0.02": 96.0, "0.05": 99.0, "0.1": 100.0, "+Inf": 100.0}
    assert slow_bound(buckets) == "0.05"
    assert slow_bound({"0.001": 100.0, "0.005": 100.0, "0.02": 100.0, "0.1": 100.0, "+Inf": 100.0}) == "0.02"
    assert slow_bound({"1": 0.0, "10": 10.0, "+Inf": 100.0}) == "10"
    assert slow_bound({}) == ""


def figures(champion: VersionCounts, challenger: VersionCounts, alpha: float = 0.001) -> dict[str, Any]:
    found = compare(champion, challenger, (champion, challenger), Margins(), alpha)
    return {figure.criterion: figure for figure in found}


def test_criteria_without_enough_counts_are_left_out() -> None:
    few = VersionCounts(requests={"200": 19})
    assert figures(VersionCounts(requests={"200": 5000}), few) == {}
    some = VersionCounts(requests={"200": 300}, labels={"true": 30, "false": 10})
    assert set(figures(some, some)) == {"errors", "rejected"}


def test_errors_of_a_regression_are_compared_in_parts_of_the_champions() -> None:
    champion = VersionCounts(requests={"200": 900}, numbers=400, absolute_error=400, squared_error=500)
    worse = VersionCounts(requests={"200": 900}, numbers=400, absolute_error=600, squared_error=1000)
    found = figures(champion, worse)["error"]
    assert (found.verdict, found.worse_by, found.margin) == ("worse", 0.5, pytest.approx(0.05))
    assert figures(champion, champion)["error"].verdict == "unclear"


def test_a_difference_that_is_tolerable_is_not_worse_however_sure_it_is() -> None:
    champion = VersionCounts(requests={"200": 1_000_000})
    slightly = VersionCounts(requests={"200": 998_000, "500": 2000})
    assert figures(champion, slightly)["errors"].verdict == "not worse"


def test_decision_waits_for_what_is_missing_or_unclear() -> None:
    champion = VersionCounts(requests={"200": 5000}, seconds={"0.02": 5000, "+Inf": 5000})
    few = VersionCounts(requests={"200": 60}, seconds={"0.02": 60, "+Inf": 60})
    found = compare(champion, few, (champion, few), Margins(), 0.001)
    assert decide(found, []).action == "wait"
    assert (
        "the interval is still too wide: errors may be worse by up to 6.0 % (1.0 % allowed)" in decide(found, []).reason
    )
    many = VersionCounts(requests={"200": 600}, seconds={"0.02": 600, "+Inf": 600})
    found = compare(champion, many, (champion, many), Margins(), 0.001)
    assert decide(found, []).action == "go on"
    assert decide(found, ["3 of 50 labels"]) == Decision("wait", "3 of 50 labels")
    assert decide([], []).action == "wait"
