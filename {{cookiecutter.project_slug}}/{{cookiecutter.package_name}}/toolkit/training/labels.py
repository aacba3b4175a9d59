"""Labels: which fields of `Prediction` the data has as columns, and what a model is fitted on and measured by."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd

from ..common.errors import UserError
from ..contract import column_names, dataframes
from ..contract.columns import Columns
from ..contract.schema import Contract, FieldSpec
from ..version.outputs import PROBABILITY_FIELDS


def with_labels(table: Any, contract: Contract) -> Contract:
    """Return the contract with the number of labels: the first fields of `Prediction` that are columns of the table.

    They have the type of the first one; neither a field of `Row` nor a probability is a label. `UserError` if a column
    has nearly the name of the first field, which is no label then.
    """
    names = {str(name) for name in getattr(table, "columns", ())}
    if not names:  # no table, or an empty one: another check says so
        return contract
    count = 0
    for field in contract.prediction:
        if not _is_label(field, names, contract):
            break
        count += 1
    found = contract.model_copy(update={"label_count": count})
    if not count:
        _check_name(names, contract)
    for field in contract.prediction:
        has_names = found.task == "classification" and (count == 1 or found.label.kind == "bool")
        if field.kind == "map" and not has_names:
            raise UserError(
                f"Prediction.{field.name}: a dict has the probabilities of the classes of one label, or of several "
                "bool labels; replace it in model/schema.py by list[float]"
            )
    return found


def _is_label(field: FieldSpec, names: set[str], contract: Contract) -> bool:
    is_output = field.name in contract.by_name or field.name in PROBABILITY_FIELDS
    return field.name in names and field.kind == contract.label.kind and not field.nullable and not is_output


def _check_name(names: set[str], contract: Contract) -> None:
    unknown = sorted(names - set(contract.model_columns) - {field.name for field in contract.prediction})
    near = next((name for name in unknown if _letters(name) == _letters(contract.label.name)), "")
    if near:
        raise UserError(
            f"Prediction.{contract.label.name}, the label, is no column of the data, but {near!r} is. Give both one "
            "name, in model/schema.py or in load() of model/data.py; without such a column a model learns no label."
        )


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def text(contract: Contract) -> str:
    """Return which labels there are, as a phrase."""
    names = ", ".join(field.name for field in contract.labels)
    return f"labels: {names}" if names else f"no label, since {contract.label.name} is no column of the data"


def check_fit(estimator: Any, contract: Contract, table: pd.DataFrame) -> None:
    """Raise `UserError` if there is no label, but the estimator learns one."""
    final = estimator
    while hasattr(final, "steps"):  # the tags of a pipeline do not say it
        final = final.steps[-1][1]
    if contract.labels or not hasattr(estimator, "fit") or not _needs_label(final):
        return
    near = next((str(name) for name in table.columns if column_names.nearest(str(name), [contract.label])), "")
    raise UserError(
        f"{contract.label.name}: the column is missing; expected {contract.label.expects}. It is the label, without "
        f"which {type(final).__name__} of model/pipeline.py cannot be fitted: have load() return it, or correct the "
        "name in model/schema.py." + (f" The data has a column {near!r}: is it that one?" if near else "")
    )


def _needs_label(estimator: Any) -> bool:
    if hasattr(estimator, "__sklearn_tags__"):
        return bool(estimator.__sklearn_tags__().target_tags.required)
    parameters = inspect.signature(estimator.fit).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return sum(p.default is p.empty for p in positional) > 1


def array_of(columns: Columns, contract: Contract, rows: int) -> np.ndarray:
    """Return checked labels in the type that the model learns: (n,) of one label, (n, labels) of several or none."""
    arrays = [dataframes.label_array(columns, label) for label in contract.labels]
    if len(arrays) == 1:
        return arrays[0]
    return np.stack(arrays, axis=1) if arrays else np.zeros((rows, 0))


def actual(label: np.ndarray, table: pd.DataFrame, contract: Contract) -> Any:
    """Return what the owner's metrics compare with: labels (n,), a DataFrame of several, or the table without label."""
    if label.ndim == 1:
        return label
    names = [field.name for field in contract.labels]
    return pd.DataFrame({name: label[:, i] for i, name in enumerate(names)}) if names else table
