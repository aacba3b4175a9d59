"""Comparison of a challenger with the champion by what the service has counted of both: a figure for each criterion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..monitoring.bin_counts import MIN_DRIFT_ROWS
from ..monitoring.version_counts import VersionCounts
from .intervals import Difference, of_drifts, of_means, of_shares

#: Requests of each version below which nothing is compared.
FEWEST_REQUESTS = 20
#: Labels of each version below which quality is not compared.
FEWEST_LABELS = 50
#: Of the shown interval. Whether a version is worse is decided by a wider one.
CONFIDENCE = 0.95
#: A request is slow if it takes longer than twice the time in which the champion answers this share of its requests,
#: and longer than so many seconds.
FAST_SHARE, FASTEST_BOUND = 0.95, 0.02


class Margins(BaseModel):
    """How much worse than the champion a challenger may be; `CANARY` in model/quality.py has others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Shares of requests: failed with 5xx, slow, rejected with 4xx.
    errors: float = Field(0.01, ge=0, lt=1)
    slow: float = Field(0.05, ge=0, lt=1)
    rejected: float = Field(0.02, ge=0, lt=1)
    #: Population stability index of the predictions, each version's against its own hold-out predictions.
    drift: float = Field(0.25, ge=0)
    #: Share of wrong predictions, by labels that came back.
    wrong: float = Field(0.02, ge=0, lt=1)
    #: Mean absolute error of a regression, as a share of the champion's.
    error: float = Field(0.05, ge=0)


#: What must be shown not to be worse before a step is left; the others only must not be shown to be worse.
REQUIRED = ("errors", "slow", "rejected")


class Figure(BaseModel):
    """One criterion: the values of both versions, how much worse the challenger is, and the verdict.

    Larger is worse. Kept in the registry, so the names of the fields stay.
    """

    model_config = ConfigDict(frozen=True)

    criterion: str
    champion: float
    challenger: float
    worse_by: float
    low: float
    high: float
    margin: float
    #: Requests or labels of both versions.
    counts: tuple[int, int]
    verdict: Literal["worse", "not worse", "unclear"]
    #: The bound in seconds of slow requests, or the output of drift; "" elsewhere.
    detail: str = ""


def compare(
    champion: VersionCounts,
    challenger: VersionCounts,
    labelled: tuple[VersionCounts, VersionCounts],
    margins: Margins,
    alpha: float,
) -> list[Figure]:
    """Compare two versions; a criterion without enough requests or labels is left out.

    `labelled` has the counts of both for as long as labels are counted, which come later than requests do. `alpha` is
    the probability, at most, with which each criterion finds a version worse that is not.
    """
    totals = champion.answered, challenger.answered
    if min(totals) < FEWEST_REQUESTS:
        return []
    both = champion, challenger

    def shares(name: str, events: tuple[float, float], of: tuple[float, float], detail: str = "") -> Figure:
        shown, strict = (of_shares(events, of, level) for level in ((1 - CONFIDENCE) / 2, alpha))
        return _figure(name, shown, strict, getattr(margins, name), of, detail)

    found = [shares("errors", (champion.status("5"), challenger.status("5")), totals)]
    bound = slow_bound(champion.seconds)
    measured = champion.seconds.get("+Inf", 0.0), challenger.seconds.get("+Inf", 0.0)
    if bound and min(measured) >= FEWEST_REQUESTS:
        slow = measured[0] - champion.seconds[bound], measured[1] - challenger.seconds.get(bound, 0.0)
        found.append(shares("slow", (max(slow[0], 0), max(slow[1], 0)), measured, bound))
    found.append(shares("rejected", (champion.status("4"), challenger.status("4")), totals))
    found += _drift(both, margins, alpha)
    return found + _quality(labelled, margins, alpha)


def slow_bound(seconds: Mapping[str, float]) -> str:
    """Return the bound of the histogram above which a request is slow, "" if there is none."""
    total = seconds.get("+Inf", 0.0)
    bounds = sorted((bound for bound in seconds if bound != "+Inf"), key=float)
    if not bounds or not total:
        return ""
    usual = next((float(bound) for bound in bounds if seconds[bound] >= FAST_SHARE * total), float(bounds[-1]))
    least = max(2 * usual, FASTEST_BOUND)
    # A little less, since 2 * 0.1 and "0.2" may differ in the last digit.
    return next((bound for bound in bounds if float(bound) >= least * 0.999), bounds[-1])


def _drift(both: tuple[VersionCounts, VersionCounts], margins: Margins, alpha: float) -> list[Figure]:
    """Compare the drift of the output in which the challenger's is larger than the champion's by most."""
    # Rows of one request are alike, so they count as one.
    totals = both[0].status("2"), both[1].status("2")
    totals = min(totals[0], both[0].rows), min(totals[1], both[1].rows)
    names = [name for name in both[1].outputs if all(name in one.outputs and name in one.reference for one in both)]
    if min(totals) < MIN_DRIFT_ROWS or not names:
        return []
    found = []
    for name in names:
        counts = both[0].outputs[name], both[1].outputs[name]
        references = both[0].reference[name], both[1].reference[name]
        shown, strict = (
            of_drifts(counts, references, totals, level) for level in ((1 - CONFIDENCE) / 2, alpha / len(names))
        )
        found.append(_figure("drift", shown, strict, margins.drift, totals, name))
    return [max(found, key=lambda figure: (figure.verdict == "worse", figure.worse_by))]


def _quality(both: tuple[VersionCounts, VersionCounts], margins: Margins, alpha: float) -> list[Figure]:
    """Compare the quality by the labels that came back."""
    champion, challenger = both
    found = []
    totals = sum(champion.labels.values()), sum(challenger.labels.values())
    if min(totals) >= FEWEST_LABELS:
        wrong = champion.labels.get("false", 0.0), challenger.labels.get("false", 0.0)
        shown, strict = (of_shares(wrong, totals, level) for level in ((1 - CONFIDENCE) / 2, alpha))
        found.append(_figure("wrong", shown, strict, margins.wrong, totals))
    totals = champion.numbers, challenger.numbers
    if min(totals) >= FEWEST_LABELS:
        sums = champion.absolute_error, challenger.absolute_error
        squares = champion.squared_error, challenger.squared_error
        shown, strict = (of_means(sums, squares, totals, level) for level in ((1 - CONFIDENCE) / 2, alpha))
        found.append(_figure("error", shown, strict, margins.error * shown.first, totals))
    return found


def _figure(
    name: str, shown: Difference, strict: Difference, margin: float, counts: tuple[float, float], detail: str = ""
) -> Figure:
    """Return the figure: worse if even the strict interval lies above 0, by more than the margin."""
    verdict: Literal["worse", "not worse", "unclear"] = "unclear"
    if strict.low > 0 and strict.value > margin:
        verdict = "worse"
    elif shown.high < margin:
        verdict = "not worse"
    return Figure(
        criterion=name,
        champion=shown.first,
        challenger=shown.second,
        worse_by=shown.value,
        low=shown.low,
        high=shown.high,
        margin=margin,
        counts=(round(counts[0]), round(counts[1])),
        verdict=verdict,
        detail=detail,
    )
