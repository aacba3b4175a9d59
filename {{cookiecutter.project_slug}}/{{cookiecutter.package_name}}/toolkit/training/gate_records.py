"""The results of gates as the registry keeps them beside a decision: few keys, short numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..common.names import GATE_RESULTS, GATES, GATES_FAILED
from ..common.tag_text import tag_json
from .gates import GateResult

#: Characters of a reason that are kept.
MOST_REASON = 200


def records(results: Iterable[GateResult]) -> list[dict[str, Any]]:
    """Return the results of gates, each with the interval by which the version is better than the champion.

    The keys are those of `make history ARGS=--json`; numbers have six digits.
    """
    return [_record(result) for result in results]


def tags(results: Iterable[GateResult]) -> dict[str, str]:
    """Return the tags that a version gets: "passed" or "failed", the reasons, and the results."""
    results = list(results)
    failures = [result.reason for result in results if not result.passed]
    found = {GATES: "failed" if failures else "passed", GATE_RESULTS: tag_json({"gates": records(results)}, "gates")}
    return found | ({GATES_FAILED: "; ".join(failures)} if failures else {})


def _record(result: GateResult) -> dict[str, Any]:
    found = result.comparison
    return {
        "metric": result.metric,
        "value": _short(result.value),
        "bound": result.bound,
        "passed": result.passed,
        "reason": result.reason[:MOST_REASON],
        "champion": _short(result.champion),
        "better": _short(found.better) if found else None,
        "low": _short(found.low) if found else None,
        "high": _short(found.high) if found else None,
        "confidence": found.confidence if found else None,
        "rows": found.rows if found else None,
    }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}") + 0.0  # no -0.0
