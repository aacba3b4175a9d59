"""Gates: bounds on metrics in `model/quality.py`, which a version must pass before it is promoted.

Each needs a metric; `evaluation` computes the metrics, on the hold-out rows. A gate compares them with the champion's
by a `tolerance`, or by an interval of the difference: `better`, `not_worse`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ..common.errors import UserError
from ..common.invalid_values import describe
from .comparison import Comparison

#: In the reason of a gate that failed in the comparison with the champion; the registry keeps these texts.
COMPARED = ("the champion has", "than the champion", "as good as the champion")
EXAMPLE = 'For example: GATES = {"accuracy": {"at_least": 0.8, "tolerance": 0.01}, "log_loss": {"at_most": 0.5}}'


def _no_bool(value: Any) -> Any:
    # True would be 1.
    if isinstance(value, bool):
        raise ValueError("give a number: 0, or by how much")
    return value


Margin = Annotated[float, Field(ge=0), BeforeValidator(_no_bool)]


class Gate(BaseModel):
    """One bound on one metric."""

    model_config = ConfigDict(extra="forbid")

    at_least: float | None = None
    at_most: float | None = None
    #: How much worse than the champion's the value may be.
    tolerance: float | None = Field(default=None, ge=0)
    #: By how much the interval of the difference must lie above 0, or by how much it may reach below.
    better: Margin | None = None
    not_worse: Margin | None = None
    confidence: float = Field(default=0.95, ge=0.5, lt=1)

    @model_validator(mode="after")
    def _one_bound(self) -> Gate:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either 'at_least' or 'at_most'")
        if sum(value is not None for value in (self.tolerance, self.better, self.not_worse)) > 1:
            raise ValueError("give one of 'tolerance', 'better' and 'not_worse'")
        return self

    @property
    def bound(self) -> str:
        """The bound as text, with that of the interval."""
        text = f"at {'least' if self.higher_is_better else 'most'} {self.limit:g}"
        return text if self.better is None and self.not_worse is None else f"{text}, {self._requirement}"

    @property
    def higher_is_better(self) -> bool:
        """Whether the bound is a lower one."""
        return self.at_least is not None

    @property
    def limit(self) -> float:
        """The number of the bound."""
        limit = self.at_most if self.at_least is None else self.at_least
        assert limit is not None  # the validator allows no gate without a bound
        return limit

    def holds(self, value: float) -> bool:
        """Whether a value is within the bound; NaN is not."""
        return value >= self.limit if self.higher_is_better else value <= self.limit

    def compare(self, value: float, champion: float, comparison: Comparison | None) -> str:
        """Return why a value is not good enough beside the champion's, "" if it is."""
        if self.better is None and self.not_worse is None:
            tolerance = self.tolerance or 0.0
            better = comparison.better if comparison else (value - champion) * (1 if self.higher_is_better else -1)
            # 0.81 - 0.80 is slightly more than 0.01 in binary.
            if better >= -tolerance - 1e-9:
                return ""
            return f"is {value:.4g}, the champion has {champion:.4g} on the same rows (tolerance {tolerance:g})"
        margin = self.better if self.better is not None else -(self.not_worse or 0.0)
        if comparison is None:
            return f"is {value:.4g}, the champion has {champion:.4g}, and there is no interval of the difference"
        low = -math.inf if comparison.low is None else comparison.low
        if low > margin or (self.better is None and low >= margin - 1e-9):
            return ""
        needed = comparison.rows_for(margin) if comparison.better > margin else None
        rows = f": about {needed:,} rows could show that, there are {comparison.rows:,}" if needed else ""
        return (
            f"is {comparison.text}, but must be {self._requirement} with {100 * self.confidence:g} % confidence{rows}"
        )

    @property
    def _requirement(self) -> str:
        if self.better is not None:
            return f"more than {self.better:g} better" if self.better else "better"
        return f"at most {self.not_worse:g} worse" if self.not_worse else "no worse"


class GateResult(BaseModel):
    """The result of one gate for one version, compared with the champion's metric; `reason` is empty if it passed."""

    metric: str
    bound: str
    value: float | None
    champion: float | None
    reason: str = ""
    #: None where there is no champion to compare with, and in versions of earlier releases.
    comparison: Comparison | None = None

    @property
    def passed(self) -> bool:
        """Whether the version passed the gate."""
        return not self.reason


def parse(gates: Mapping[str, Any]) -> dict[str, Gate]:
    """Return the gates of `model/quality.py`; `UserError` lists the entries that are not gates."""
    try:
        return TypeAdapter(dict[str, Gate]).validate_python(gates)
    except ValidationError as error:
        lines = [
            f"  - {'.'.join(str(part) for part in e['loc']) or 'GATES'}: {describe(e, Gate.model_fields)}"
            for e in error.errors()
        ]
        raise UserError("\n".join(["model/quality.py: GATES cannot be read:", *lines, EXAMPLE])) from None


def is_comparison(reasons: str) -> bool:
    """Whether a version failed, among these reasons, a gate that the champion had set."""
    return any(text in reasons for text in COMPARED)


def evaluate(
    gates: Mapping[str, Gate],
    metrics: Mapping[str, float],
    champion: Mapping[str, float],
    comparisons: Mapping[str, Comparison] | None = None,
) -> list[GateResult]:
    """Return the result of each gate; `champion` has the champion's metrics on the same rows, or is empty.

    `comparisons` has the comparison of both, by gate.
    """
    found = comparisons or {}
    return [
        _evaluate(name, gate, metrics.get(name), champion.get(name), found.get(name)) for name, gate in gates.items()
    ]


def _evaluate(
    name: str, gate: Gate, value: float | None, champion: float | None, comparison: Comparison | None
) -> GateResult:
    reason = ""
    if value is None or math.isnan(value):
        value, reason = None, f"{name} could not be computed on the hold-out rows"
    elif not gate.holds(value):
        reason = f"{name} is {value:.4g}, but must be at {'least' if gate.higher_is_better else 'most'} {gate.limit:g}"
    elif champion is not None and (worse := gate.compare(value, champion, comparison)):
        reason = f"{name} {worse}"
    return GateResult(
        metric=name, bound=gate.bound, value=value, champion=champion, reason=reason, comparison=comparison
    )
