"""Checks of `model/features.py` before anything is fitted: its columns, and that a row's depend on that row alone.

Training calls the function with all rows, batch scoring with thousands, the service often with one. What is computed
over the rows of a frame, such as a mean, a rank or a difference to the row before, would differ between them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..common.errors import UserError
from ..contract.columns import Columns, concatenate, take
from ..contract.dataframes import as_frame
from ..contract.schema import Contract, FieldSpec
from ..version.artifact import TOLERANCE
from ..version.features import Features, Function, Kind, call
from .export.parity import edge_rows

#: Training rows of which the columns are computed again, beside other rows and alone.
SAMPLE_ROWS, ROWS_ALONE = 500, 5
FILE = "model/features.py"


def check(function: Function, contract: Contract, training: Columns) -> Features:
    """Return the features of a function that computes the columns of each row by itself, from checked rows.

    `UserError` names the column and the cure.
    """
    frame = as_frame(training, contract)
    rows = len(frame)
    made = call(function, frame)
    if len(made) != rows:
        raise UserError(
            f"{FILE}: features() returned {len(made)} rows for {rows}; it must return one for each, in the same order. "
            "Drop rows in load() of model/data.py instead."
        )
    features = Features(function, contract, _kinds(made))
    whole = features.columns(training)
    _check_finite(whole, training, "training rows")
    random = np.random.default_rng(0)
    where = np.sort(random.choice(rows, min(SAMPLE_ROWS, rows), replace=False))
    sample = with_edges(contract, take(training, where))
    once = features.columns(sample)
    _check_finite(once, sample, "rows with the values at the bounds of model/schema.py")
    _compare(once, features.columns(sample), REPEATED)
    # Of all training rows, of a sample, of halves of it in another order, and of single rows: always the same.
    _compare(take(whole, where), take(once, np.arange(len(where))), DEPENDENT)
    order = random.permutation(len(next(iter(sample.values()))))
    alone = [order[i : i + 1] for i in range(min(ROWS_ALONE, len(order)))]
    for part in (order[::2], order[1::2], *alone):
        _compare(take(once, part), features.columns(take(sample, part)), DEPENDENT)
    return features


def parity_rows(contract: Contract, features: Features | None, rows: Columns) -> tuple[Contract, Columns]:
    """Return what the model sees of some rows, for its export and the parity check: its contract and its columns.

    Of features these are followed by those of rows at the edges of the contract, since the columns that the function
    makes have no edges of their own.
    """
    if features is None:
        return contract, rows
    columns, behind = features.columns(with_edges(contract, rows)), features.model_contract(contract)
    fields = [field.model_copy(update=_seen(field, columns[field.name])) for field in behind.row]
    return behind.model_copy(update={"row": tuple(fields)}), columns


def _seen(field: FieldSpec, array: np.ndarray) -> dict[str, Any]:
    # A text that no function makes would be no edge, and may be one that the pipeline does not take.
    return {"categories": (array[0],)} if field.kind == "category" else {}


def with_edges(contract: Contract, rows: Columns) -> Columns:
    """Return rows, and after them some at the edges of the contract."""
    return concatenate([rows, edge_rows(contract, rows).columns])


#: What is wrong with a column that differs, and the cure.
REPEATED = (
    "differs when the same rows are given again: the same row must always give the same value. Use no random numbers "
    "and no clock"
)
DEPENDENT = (
    "of a row depends on the other rows of the frame (a mean, a rank, a shift, the codes of the categories at hand?). "
    "The service scores rows one by one, and would give the model other values than training did. Compute it from the "
    "row's own fields; what is learned from the training rows belongs into a step of the pipeline, and what comes from "
    "earlier rows into load() of model/data.py, as a field of Row"
)


def _kinds(made: pd.DataFrame) -> dict[str, Kind]:
    """Return the kinds of the columns; `UserError` for names and types that no model can be given."""
    names = list(made.columns)
    if not names:
        raise UserError(f"{FILE}: features() returned no columns")
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"{FILE}: features() returned a column named {name!r}; a name must be a text")
        if names.count(name) > 1:
            raise UserError(f"{FILE}: features() returned two columns named {name!r}; rename or drop one")
    return {name: _kind(name, made[name]) for name in names}


def _kind(name: str, values: pd.Series) -> Kind:
    if pd.api.types.is_numeric_dtype(values) and values.dtype.kind != "c":  # bools are among them
        return "number"
    found = pd.api.types.infer_dtype(values, skipna=True)
    if found in ("integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"):
        return "number"
    if found == "string" or (found == "categorical" and pd.api.types.infer_dtype(values.cat.categories) == "string"):
        return "text"
    raise UserError(
        f"{FILE}: column {name!r} of features() has the type {values.dtype} ({found}); a model is given numbers, "
        "booleans and text. A date, for example, becomes its year and the days since another one."
    )


def _check_finite(columns: Columns, rows: Columns, which: str) -> None:
    for name, array in columns.items():
        infinite = np.flatnonzero(np.isinf(array)) if array.dtype == np.float32 else np.array([], int)
        if len(infinite):
            first = {field: _plain(values[infinite[0]]) for field, values in rows.items()}
            raise UserError(
                f"{FILE}: column {name!r} is infinite, or too large for float32, in {len(infinite)} {which}; the first "
                f"is {first}. Models cannot take that: avoid the division by 0 or the logarithm of 0, or return NaN."
            )


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else np.round(value, 6).tolist()


def _compare(expected: Columns, found: Columns, problem: str) -> None:
    for name, array in expected.items():
        if differ := _differ(array, found[name]):
            one, other = _plain(array[differ[0]]), _plain(found[name][differ[0]])
            raise UserError(f"{FILE}: column {name!r} {problem}. A row had {one!r} first, then {other!r}.")


def _differ(one: np.ndarray, other: np.ndarray) -> list[int]:
    if one.dtype != np.float32:
        return np.flatnonzero(one != other).tolist()
    # Numbers that differ by rounding are the same: a function may be computed in another order for many rows at once.
    largest = float(np.max(np.abs(one), initial=0, where=np.isfinite(one)))
    same = np.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE * largest, equal_nan=True)
    return np.flatnonzero(~same).tolist()
