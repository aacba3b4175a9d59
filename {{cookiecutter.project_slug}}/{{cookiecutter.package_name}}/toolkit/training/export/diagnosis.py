"""Why an export does not serve: the rows that differ, the step of the pipeline where it begins, and what helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...common.errors import UserError
from ...contract import dataframes
from ...contract.columns import Columns, take
from ...contract.schema import Contract
from ...version.artifact import TOLERANCE
from ...version.runtime import MATRIX_INPUT
from . import converters
from .hints import Symptoms, hint
from .parity import Difference, difference

#: So many rows are shown, with so many of their fields.
ROWS, FIELDS = 2, 6
#: Steps are compared on so many of the rows that differ.
COMPARED_ROWS = 500


class Failure(NamedTuple):
    """An export that failed: the fitted estimator, and the rows, of which the last are `edges`, by field and value."""

    estimator: Any
    contract: Contract
    rows: Columns
    edges: list[tuple[str, Any]]
    arguments: Mapping[str, Any]


class Step(NamedTuple):
    """A step of a pipeline: its place, the text that names it, and itself, or the part of it where a failure begins."""

    number: int
    text: str
    part: Any


def of_error(failure: Failure, error: Exception) -> tuple[str, ...]:
    """Return what is known of an export that a converter or ONNX Runtime has refused; a `UserError` says it all."""
    if isinstance(error, UserError):
        return ()
    rows = take(failure.rows, np.arange(min(COMPARED_ROWS, len(next(iter(failure.rows.values()))))))
    return _lines([], failure, rows, error)


def of_difference(failure: Failure, found: Difference, expected: Columns, actual: Columns) -> tuple[str, ...]:
    """Return what is known of an export whose predictions differ from those of the original."""
    shown = [_row(failure, found, expected, actual, int(position)) for position in found.rows[:ROWS]]
    rows = take(failure.rows, found.rows[:COMPARED_ROWS])
    incomplete = np.any([_missing(array) for array in rows.values()], axis=0)
    symptoms = Symptoms(bool(incomplete.any()), not incomplete.all(), found.largest)
    return _lines(shown, failure, rows, symptoms)


def _row(failure: Failure, found: Difference, expected: Columns, actual: Columns, position: int) -> str:
    field = max(found.by_field, key=lambda name: float(found.by_field[name][position]))
    first_edge = len(next(iter(failure.rows.values()))) - len(failure.edges)
    if position < first_edge:
        values = [f"{name}={_short(array[position])}" for name, array in list(failure.rows.items())[:FIELDS]]
        row = f"hold-out row {position}"
    else:
        name, value = failure.edges[position - first_edge]
        values, row = [f"{name}={_short(value)}"], "hold-out row 0 with another value"
    predictions = f"{_short(expected[field][position])} by Python, {_short(actual[field][position])} by ONNX"
    return f"{row} ({', '.join(values)}): {field} is {predictions}"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return "[" + ", ".join(_short(element) for element in value[:3]) + (", ...]" if len(value) > 3 else "]")
    text = f"{value:.6g}" if isinstance(value, float | np.floating) else repr(getattr(value, "item", lambda: value)())
    return text if len(text) <= 40 else f"{text[:37]}..."


def _missing(array: np.ndarray) -> np.ndarray:
    """Return which rows have a missing number."""
    return np.zeros(len(array), bool) if array.dtype == object else np.isnan(array).reshape(len(array), -1).any(axis=1)


def _lines(shown: list[str], failure: Failure, rows: Columns, found: Exception | Symptoms) -> tuple[str, ...]:
    step, text = _first_difference(failure, rows, found if isinstance(found, Exception) else None)
    steps = converters.steps_of(converters.unwrapped(failure.estimator))
    part = step.part if step else converters.unwrapped(steps[-1][1])
    before = [inner for _, other in steps[: step.number if step else -1] for inner in converters.parts(other)]
    lines = [*shown, text] if text else shown
    return (*lines, f"What usually helps: {hint(part, before, found)}")


def _first_difference(failure: Failure, rows: Columns, error: Exception | None) -> tuple[Step | None, str]:
    """Return the first step that cannot be converted, or whose output differs, and a line about it."""
    estimator = converters.unwrapped(failure.estimator)
    steps = converters.steps_of(estimator)
    if len(steps) == 1:
        return None, ""
    frame, inputs = dataframes.as_frame(rows, failure.contract), converters.Inputs.of(failure.contract)
    largest = 0.0
    for number, (name, transformer) in enumerate(steps):
        step = Step(number, f"step {number + 1} of {len(steps)}, {_name(name, transformer)}", transformer)
        if number == len(steps) - 1:
            break
        head = estimator[: number + 1]
        try:
            actual = _run(converters.convert(head, inputs, None, failure.arguments), frame, inputs)
        except Exception as inner_error:
            return _not_convertible(step, inner_error)
        expected = _array(head.transform(frame))
        if expected.shape != actual.shape:
            return step, f"{step.text}, puts out the shape {expected.shape} in Python and {actual.shape} in ONNX"
        by_column = [difference(one, other) for one, other in zip(expected.T, actual.T, strict=True)]
        largest = max([largest, *(float(array.max(initial=0)) for array in by_column)])
        if largest > TOLERANCE:
            column = next(i for i, array in enumerate(by_column) if (array > TOLERANCE).any())
            row = int(np.argmax(by_column[column]))
            part, label = _column(transformer, column)
            values = f"{_short(expected[row, column])} by Python, {_short(actual[row, column])} by ONNX"
            return step._replace(part=part), f"the difference begins at {step.text}, in its column {label}: {values}"
    if error is not None:
        return _not_convertible(step, error)
    same = f"differ by {largest:.0e} at most" if largest else "give the same"
    return step, f"the difference begins at {step.text}; the steps before it {same}"


def _not_convertible(step: Step, error: Exception) -> tuple[Step, str]:
    """Return the part of a step that an error names by its class, or by one that it is derived from, and a line."""
    whole = converters.unwrapped(step.part)
    own = {part: [kind.__name__ for kind in type(part).__mro__[:-1]] for part in converters.parts(whole)}
    part = next((part for part, names in own.items() if any(name in str(error) for name in names)), whole)
    inside = "" if part is whole else f", because of its {type(part).__name__}"
    return step._replace(part=part), f"{step.text}, is not converted{inside}"


def _name(name: str, step: Any) -> str:
    kind = type(converters.unwrapped(step)).__name__
    return f"{name} ({kind})" if name and name != kind.lower() else kind


def _array(output: Any) -> np.ndarray:
    """Return what a transformer puts out, sparse or not, as an array (n, k)."""
    array = output.toarray() if hasattr(output, "toarray") else np.asarray(output)
    return array.reshape(len(array), -1)


def _run(model: Any, frame: Any, inputs: converters.Inputs) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {}
    for each in session.get_inputs():
        columns = frame[inputs.names] if each.name == MATRIX_INPUT else frame[[each.name]]
        feed[each.name] = columns.to_numpy(object if each.name in inputs.texts else np.float32)
    return _array(session.run(None, feed)[0])


def _column(step: Any, column: int) -> tuple[Any, str]:
    """Return the part of a step that makes a column of its output, and the name of the column."""
    try:
        name = repr(str(step.get_feature_names_out()[column]))
    except Exception:  # not every transformer can tell
        name = str(column)
    for key, where in getattr(step, "output_indices_", {}).items():
        if where.start <= column < where.stop:
            return step.named_transformers_.get(key, step), name
    return step, name
