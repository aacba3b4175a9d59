"""Gates: bounds on metrics in `model/quality.py`, which a version must pass before it is promoted.

Each needs a metric; `evaluation` computes the metrics, on the hold-out rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ..common.errors import UserError

#: In the reason of a gate that failed in the comparison with the champion; the registry keeps these texts.
COMPARED = "the champion has"
EXAMPLE = 'For example: GATES = {"accuracy": {"at_least": 0.8, "tolerance": 0.01}, "log_loss": {"at_most": 0.5}}'


class Gate(BaseModel):
    """One bound on one metric."""

    model_config = ConfigDict(extra="forbid")

    at_least: float | None = None
    at_most: float | None = None
    tolerance: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _one_bound(self) -> Gate:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either 'at_least' or 'at_most'")
        return self

    @property
    def bound(self) -> str:
        """The bound as text."""
        return f"at {'least' if self.higher_is_better else 'most'} {self.limit:g}"

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

    def no_worse(self, value: float, champion: float) -> bool:
        """Whether a value is at most the tolerance worse than the champion's."""
        better = value - champion if self.higher_is_better else champion - value
        # 0.81 - 0.80 is slightly more than 0.01 in binary.
        return better >= -self.tolerance - 1e-9


class GateResult(BaseModel):
    """The result of one gate for one version, compared with the champion's metric; `reason` is empty if it passed."""

    metric: str
    bound: str
    value: float | None
    champion: float | None
    reason: str = ""

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
            f"  - {'.'.join(str(part) for part in e['loc']) or 'GATES'}: {e['msg']}, not {e['input']!r:.200}"
            for e in error.errors()
        ]
        raise UserError("\n".join(["model/quality.py: GATES cannot be read:", *lines, EXAMPLE])) from None


def is_comparison(reasons: str) -> bool:
    """Whether a version failed, among these reasons, a gate that the champion had set."""
    return COMPARED in reasons


def evaluate(
    gates: Mapping[str, Gate], metrics: Mapping[str, float], champion: Mapping[str, float]
) -> list[GateResult]:
    """Return the result of each gate; `champion` has the champion's metrics on the same rows, or is empty."""
    return [_evaluate(name, gate, metrics.get(name), champion.get(name)) for name, gate in gates.items()]


def _evaluate(name: str, gate: Gate, value: float | None, champion: float | None) -> GateResult:
    reason = ""
    if value is None or math.isnan(value):
        value, reason = None, f"{name} could not be computed on the hold-out rows"
    elif not gate.holds(value):
        reason = f"{name} is {value:.4g}, but must be {gate.bound}"
    elif champion is not None and not gate.no_worse(value, champion):
        reason = f"{name} is {value:.4g}, {COMPARED} {champion:.4g} on the same rows (tolerance {gate.tolerance:g})"
    return GateResult(metric=name, bound=gate.bound, value=value, champion=champion, reason=reason)
