"""Gates: the bounds of `model/quality.py`, held against the figures of a version and of the champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ..common.errors import UserError


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
        """The bound in words."""
        return f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"

    def holds(self, value: float) -> bool:
        """Whether a value keeps the bound; NaN does not."""
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)

    def no_worse(self, value: float, champion: float) -> bool:
        """Whether a value is no worse than the champion's, but for the tolerance."""
        better = value - champion if self.at_least is not None else champion - value
        # 0.81 - 0.80 is a little more than 0.01 in binary.
        return better >= -self.tolerance - 1e-9


class GateResult(BaseModel):
    """What one gate says of one version; `reason` is empty when it passes."""

    metric: str
    bound: str
    value: float | None
    champion: float | None
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the gate lets the version through."""
        return not self.reason


def parse(gates: Mapping[str, Any]) -> dict[str, Gate]:
    """Return the gates as written in `model/quality.py`; `UserError` names what cannot be read."""
    try:
        return TypeAdapter(dict[str, Gate]).validate_python(gates)
    except ValidationError as error:
        lines = [
            f"  - {'.'.join(str(part) for part in e['loc'])}: {e['msg']}, not {e['input']!r}" for e in error.errors()
        ]
        raise UserError("model/quality.py: GATES cannot be read:\n" + "\n".join(lines)) from None


def judge(gates: Mapping[str, Gate], metrics: Mapping[str, float], champion: Mapping[str, float]) -> list[GateResult]:
    """Return a verdict for each gate; `champion` is empty where there is none to compare with."""
    return [_judge(name, gate, metrics.get(name), champion.get(name)) for name, gate in gates.items()]


def _judge(name: str, gate: Gate, value: float | None, champion: float | None) -> GateResult:
    reason = ""
    if value is None or math.isnan(value):
        value, reason = None, f"{name} could not be measured on the hold-out rows"
    elif not gate.holds(value):
        reason = f"{name} is {value:.4g}, its bound is {gate.bound}"
    elif champion is not None and not gate.no_worse(value, champion):
        reason = (
            f"{name} is {value:.4g}, the champion has {champion:.4g} on the same rows (tolerance {gate.tolerance:g})"
        )
    return GateResult(metric=name, bound=gate.bound, value=value, champion=champion, reason=reason)
