"""The objective of a search: the metric of `model/quality.py` that it maximizes or minimizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...common.errors import UserError
from ..gates import Gate

EXAMPLE = 'For example: TUNE = {"maximize": "roc_auc"}, or TUNE = {"minimize": "log_loss"}'


class Objective(NamedTuple):
    """A metric, and whether a larger value is better."""

    metric: str
    maximize: bool

    def is_better(self, value: float, other: float) -> bool:
        """Whether a value is better than another one."""
        return value > other if self.maximize else value < other


def objective(wanted: Any, gates: Mapping[str, Gate]) -> Objective:
    """Return the objective that `TUNE` of `model/quality.py` names; if it is None, that of the first gate."""
    if wanted is None:
        for name, gate in gates.items():
            if "/" not in name:
                return Objective(name, gate.higher_is_better)
        raise UserError(
            f"model/quality.py: neither TUNE nor a gate says by which metric make tune compares parameters. {EXAMPLE}"
        )
    if isinstance(wanted, Mapping) and len(wanted) == 1:
        [(direction, metric)] = wanted.items()
        if direction in ("maximize", "minimize") and isinstance(metric, str) and metric:
            return Objective(metric, direction == "maximize")
    raise UserError(f"model/quality.py: TUNE is {wanted!r:.200}, which is no objective. {EXAMPLE}")
