"""Export to ONNX, and the parity check: the exported model must predict the same as the original."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...common.errors import UserError, explain_missing_extras
from ...contract.columns import Columns, take
from ...contract.schema import Contract
from ...version.artifact import TOLERANCE
from ...version.row_order import MIN_ROWS
from ...version.runtime import OnnxRuntime, PythonRuntime
from . import converters, diagnosis, thresholds
from .diagnosis import Failure
from .parity import Difference, edge_rows
from .size import too_large


class OnnxExport(NamedTuple):
    """The exported model, None if the original has to serve, and the reason in one line.

    `details` are a few more lines about why it has to: on which rows, from which step on, and what usually helps.
    """

    model: bytes | None
    note: str
    details: tuple[str, ...] = ()


def export(
    estimator: Any, contract: Contract, holdout: Columns, arguments: Mapping[str, Any] | None = None
) -> OnnxExport:
    """Export a fitted model, and compare it with the original on hold-out rows and the edges of the contract.

    `arguments` are those of skl2onnx's `convert_sklearn` that `model/pipeline.py` sets.
    """
    if reason := too_large(estimator):
        return OnnxExport(None, reason)
    edges = edge_rows(contract, holdout)
    rows = {name: np.concatenate([array, edges.columns[name]]) for name, array in holdout.items()}
    count = len(next(iter(rows.values())))
    failure = Failure(estimator, contract, rows, edges.changed, arguments or {})
    try:
        expected = PythonRuntime(estimator, contract).score(rows)
    except Exception as error:
        return OnnxExport(
            None, f"the model itself fails on hold-out rows or on the edges of the schema: {_one_line(error)}"
        )
    try:
        inputs = converters.Inputs.of(contract)
        classes = sorted(contract.classes) if contract.task == "classification" else None
        with explain_missing_extras():
            converted = converters.convert(estimator, inputs, classes, arguments or {})
        thresholds.add(converted, inputs.names)
        model = converted.SerializeToString()
        # So many that rows are grouped, which is checked too.
        actual = take(OnnxRuntime(model, contract).score(take(rows, _repeated(count))), np.arange(count))
    except Exception as error:  # converters raise exceptions of many kinds
        return OnnxExport(
            None, f"not convertible to ONNX: {_one_line(error)}", _details(diagnosis.of_error, failure, error)
        )
    difference = Difference.between(expected, actual, contract)
    if not len(difference.rows):
        return OnnxExport(model, f"parity check passed on {count} rows, largest difference {difference.largest:.1e}")
    text = f"largest difference {difference.largest:.1e}, above {TOLERANCE:.0e}"
    if np.isinf(difference.by_field[contract.label.name]).any() and contract.task == "classification":
        text = "ONNX and original predict different labels"
    details = _details(diagnosis.of_difference, failure, difference, expected, actual)
    return OnnxExport(None, f"parity check failed on {len(difference.rows)} of {count} rows: {text}", details)


def _repeated(rows: int) -> np.ndarray:
    """Return the positions of some rows, again and again if they are too few to be grouped."""
    return np.arange(max(rows, MIN_ROWS)) % rows


def _details(explain: Callable[..., tuple[str, ...]], *arguments: Any) -> tuple[str, ...]:
    try:
        return explain(*arguments)
    except Exception:  # steps of pipelines raise exceptions of many kinds; the model serves without an explanation
        return ()


def _one_line(error: Exception) -> str:
    text = (str(error).strip() or "no message").splitlines()[0][:200]
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
