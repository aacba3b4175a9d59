"""Labels: which fields of `Prediction` the data has as columns, and what a model is fitted on and measured by."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

import numpy as np
import pandas as pd

from ..common.errors import UserError
from ..contract import column_names, dataframes
from ..contract.columns import Columns
from ..contract.schema import Contract, FieldSpec
from ..version.outputs import PROBABILITY_FIELDS

#: The ratio of `difflib` from which on a column is a label's, misspelled: "colling" and "cooling" have 0.86.
SIMILAR = 0.85


def with_labels(table: Any, contract: Contract) -> Contract:
    """Return the contract with the number of labels: the first fields of `Prediction` that are columns of the table.

    They have the type of the first one; neither a field of `Row` nor a probability is a label. `UserError` if a
    misspelled column is probably the next label.
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
    _check_names(names, found)
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


def _check_names(names: set[str], contract: Contract) -> None:
    """Raise `UserError` if the next field that could be a label is no column, but a misspelled one is.

    Without label, so does a dict, whose keys are the classes of a label.
    """
    field = next(iter(contract.prediction[contract.label_count :]), None)
    if field is None or not _is_label(field, names | {field.name}, contract) or field.name in names:
        return
    unknown = _unknown(names, contract)
    near = next((name for name in unknown if _is_misspelled(name, field.name)), "")
    map_ = next((f"Prediction.{other.name}" for other in contract.prediction if other.kind == "map"), "")
    if contract.labels and near:
        raise UserError(
            f"{field.name} is no column of the data (did you mean {near!r}?), so it is no label. Give both one name, "
            "in model/schema.py or in load() of model/data.py; rename one of them if they are different things."
        )
    if not contract.labels and (near or map_):
        raise UserError(no_label(names, contract, f"the dict {map_} needs" if map_ else ""))


def no_label(names: set[str], contract: Contract, needed: str = "") -> str:
    """Return that there is no label, with the column that is probably meant; `needed` is what needs one, and how."""
    label, unknown = contract.label, _unknown(names, contract)
    near = next((name for name in unknown if _is_misspelled(name, label.name)), "")
    near = near or column_names.misspelled(label, unknown)
    guess = f" (did you mean {near!r}?)" if near else ""
    cure = "Give both one name, in model/schema.py or in load() of model/data.py" if near else "Have load() return it"
    return (
        f"{label.name} is no column of the data{guess}, so there is no label"
        + (f", which {needed}" if needed else "")
        + f". {cure}; without such a column a model learns no label."
    )


def _unknown(names: set[str], contract: Contract) -> list[str]:
    fields = {field.name for field in (*contract.row, *contract.prediction)}
    return sorted(names - set(contract.model_columns) - fields)


def _is_misspelled(name: str, expected: str) -> bool:
    """Whether two names differ by a letter or two: not by a prefix, and not by a number, as measurements do."""
    letters, wanted = column_names.letters(name), column_names.letters(expected)
    if letters == wanted:
        return True
    same_numbers = [c for c in letters if c.isdecimal()] == [c for c in wanted if c.isdecimal()]
    near = same_numbers and abs(len(letters) - len(wanted)) <= 1
    return near and difflib.SequenceMatcher(None, letters, wanted).ratio() >= SIMILAR


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
