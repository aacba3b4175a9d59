"""The trial of the owner's `metrics()` before anything is fitted, with made-up predictions."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..common.errors import UserError, attribute_errors_to
from ..contract.dataframes import LABEL_TYPES
from ..contract.schema import Contract, FieldSpec
from ..version.outputs import PROBABILITY_FIELDS
from . import labels
from .dataset import LabelledRows
from .measurement import MetricsFunction, as_frame

#: Hold-out rows of the trial.
TRIAL_ROWS = 1000


def names(metrics: MetricsFunction, rows: LabelledRows, contract: Contract, folder: Path) -> list[str]:
    """Return the names of the metrics; none if only the real predictions can show them.

    `UserError` if `metrics()` returns no dict, or raises what it would raise with the real predictions too. `folder` is
    that of `quality.py`.
    """
    where = np.linspace(0, len(rows.label) - 1, min(TRIAL_ROWS, len(rows.label))).astype(int)
    part = LabelledRows(rows.table.iloc[where].reset_index(drop=True), {}, rows.label[where])
    try:
        perfect, random = (_predictions(part.label, contract, generator) for generator in (None, _generator()))
    except Exception:  # a field that cannot be made up
        return []
    actual = labels.actual(part.label, part.table, contract)
    found = _call(metrics, actual, perfect)
    if isinstance(found, Exception):
        again = _call(metrics, actual, random)
        same = (type(again), str(again)) == (type(found), str(found))
        if same and _is_certain(found, actual, perfect, contract, complete=_is_complete(part.label, rows.label)):
            raise _named(found, actual, perfect, contract, folder)
        return []
    if not hasattr(found, "items"):
        kind = "None" if found is None else type(found).__name__
        raise UserError(f"{folder.name}/quality.py: metrics() returns {kind}, not a dict of numbers by name")
    return [str(name) for name, _ in found.items()]


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


def _call(metrics: MetricsFunction, actual: Any, predictions: pd.DataFrame) -> Any:
    """Return what the function returns, or the exception that it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return metrics(actual, predictions)
    except Exception as error:
        return error


def _is_complete(part: np.ndarray, label: np.ndarray) -> bool:
    """Whether the rows of the trial have every label of all rows."""
    return len(part) == len(label) or (part.ndim == 1 and set(part.tolist()) == set(label.tolist()))


def _is_certain(
    error: Exception, actual: Any, predictions: pd.DataFrame, contract: Contract, *, complete: bool
) -> bool:
    """Whether an error depends on types and names, which are those of the real predictions, and not on values."""
    if isinstance(error, NameError | ImportError | AttributeError | TypeError):
        return True
    if isinstance(error, KeyError):
        return _is_lookup_in(error, actual, predictions)
    # An own check of values may suit the real ones; scikit-learn's are of types and classes.
    known = all(field in contract.labels or field.name in PROBABILITY_FIELDS for field in contract.prediction)
    return isinstance(error, ValueError) and complete and known and _is_of_sklearn(error)


def _is_lookup_in(error: Exception, *frames: Any) -> bool:
    """Whether an error was raised by `frame[...]` of one of these frames."""
    trace = error.__traceback__
    while trace:
        frame = trace.tb_frame
        if frame.f_code.co_name == "__getitem__" and any(frame.f_locals.get("self") is known for known in frames):
            return True
        trace = trace.tb_next
    return False


def _is_of_sklearn(error: Exception) -> bool:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("sklearn.")


def _named(error: Exception, actual: Any, predictions: pd.DataFrame, contract: Contract, folder: Path) -> UserError:
    """Return the error with its place in `quality.py`, and what the function gets."""
    try:
        with attribute_errors_to(folder, "quality.py"):
            raise error
    except UserError as found:
        if found is error:
            return found
        message, _, debug = str(found).rpartition("\n")
        named = UserError(
            f"{message}\nmetrics() gets as actual {_of_actual(actual)}; as predictions a DataFrame with the columns "
            f"{_of_columns(predictions, contract)}.\n{debug}"
        )
        named.__cause__ = error
        return named


def _of_actual(actual: Any) -> str:
    if isinstance(actual, pd.DataFrame):
        return f"a DataFrame with the columns {', '.join(map(str, actual.columns[:50]))}"
    return f"a NumPy array (n,) of {'str' if actual.dtype == object else actual.dtype}"


def _of_columns(predictions: pd.DataFrame, contract: Contract) -> str:
    texts = []
    for field in contract.prediction:
        shown = ", ".join(map(repr, (field.names or contract.probability_names)[:20]))
        if field.kind == "map":
            texts.append(f"{field.name} (in each row a dict with the keys {shown})")
        elif field.length is not None:
            of = f", of {shown}, in this order" if field.name == "probabilities" and shown else ""
            texts.append(f"{field.name} (in each row an array of {field.length} numbers{of})")
        else:
            texts.append(f"{field.name} ({'str' if field.is_text else predictions[field.name].dtype})")
    return ", ".join(texts)


def _predictions(label: np.ndarray, contract: Contract, generator: np.random.Generator | None) -> pd.DataFrame:
    """Return predictions that are perfect, or random with a generator."""
    order = np.arange(len(label)) if generator is None else generator.permutation(len(label))
    columns = {field.name: _values(field, label[order], contract, generator) for field in contract.prediction}
    # The real ones are float32.
    found = {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in columns.items()}
    return as_frame(found, contract)


def _values(field: FieldSpec, label: np.ndarray, contract: Contract, generator: np.random.Generator | None) -> Any:
    """Return predictions of a field: for the label the given values, for the others values that are possible."""
    rows = len(label)
    if field in contract.labels:
        return label.reshape(rows, -1)[:, contract.labels.index(field)]
    if field.length is not None:
        equal = np.full((rows, field.length), 1 / field.length)
        return equal if generator is None else generator.dirichlet(np.ones(field.length), rows)
    if field.kind == "category":
        drawn = np.zeros(rows, dtype=int) if generator is None else generator.integers(len(field.categories), size=rows)
        return np.array(field.categories, dtype=object)[drawn]
    if generator is not None:
        size = 2 if field.kind in ("bool", "int") else 0
        drawn = generator.integers(size, size=rows) if size else generator.uniform(size=rows)
        return drawn.astype(LABEL_TYPES[field.kind])
    if field.name == "probability" and contract.classes:
        return np.where(label == contract.classes[-1], 0.9, 0.1)
    return np.full(rows, 0.5).astype(LABEL_TYPES[field.kind])
