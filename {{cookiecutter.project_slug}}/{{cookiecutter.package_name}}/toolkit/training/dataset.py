"""Labelled rows: checked against the contract before anything is fitted on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from ..common.errors import UserError
from ..contract import column_names, dataframes
from ..contract.columns import Columns
from ..contract.schema import FLOAT32_MAX_EXACT_INT, Contract, Violation
from ..version.features import Features
from . import labels


class LabelledRows(NamedTuple):
    """Checked rows: the table as loaded, the model's columns and the label, all of the same length.

    The label has the shape (n,); several labels have (n, labels), and without label it is (n, 0).
    """

    table: pd.DataFrame
    columns: Columns
    label: np.ndarray

    def without_table(self) -> LabelledRows:
        """Return the rows without those of the table, which may be as large as everything else."""
        return self._replace(table=self.table.iloc[:0].copy())  # a view would keep them

    def without_columns(self) -> LabelledRows:
        """Return the rows without the columns, where only the table is needed from now on."""
        return self._replace(columns={})


class Source(NamedTuple):
    """What is kept of the loaded table: its digest, see `data_digest`, and the number of its rows."""

    digest: str
    rows: int


@dataclass(frozen=True)
class Dataset:
    """The rows of one training: the source of all, and their split into training and hold-out rows."""

    contract: Contract
    source: Source
    training: LabelledRows
    holdout: LabelledRows
    #: What makes the columns that the model sees; None where it sees those of the row.
    features: Features | None = None


def labelled_rows(table: Any, contract: Contract, part: Literal["", "training", "hold-out"] = "") -> LabelledRows:
    """Return the checked rows of a table that load() returned, or of a part that split() returned.

    `UserError` lists all violations of the contract.
    """
    if not isinstance(table, pd.DataFrame):
        raise UserError(
            f"model/data.py returned {type(table).__name__}, not a pandas DataFrame: load() returns one, split() two"
        )
    if not len(table) and part:
        raise UserError(f"model/data.py: split() returned no {part} rows. Check the condition by which it splits.")
    if not len(table):
        raise UserError("model/data.py: load() returned no rows. Check that its file or query is not empty.")
    table = table.reset_index(drop=True)
    columns, problems = dataframes.check_features(table, contract)
    label_columns, label_problems = dataframes.check_label(table, contract)
    lines = list(summarize(problems + label_problems, len(table)))
    lines += _large_numbers(problems, contract)
    if not problems and part != "hold-out":
        lines += _never_given(table, columns, contract)
    if not label_problems:
        label = labels.array_of(label_columns, contract, len(table))
        lines += _single_classes(label, contract, f"{len(table)} {part} rows" if part else f"{len(table)} rows")
    if lines:
        raise UserError(
            "The data breaks the contract of model/schema.py:\n"
            + "\n".join(f"  - {line}" for line in lines)
            + "\nCorrect or drop the rows in model/data.py, or allow the values in model/schema.py."
        )
    return LabelledRows(table, columns, label)


def split_rows(parts: Any, contract: Contract) -> tuple[LabelledRows, LabelledRows, str]:
    """Return the training rows and hold-out rows of what split() returned, and a warning, "" if there is none.

    `UserError` names the classes that no training row has, if the hold-out rows have none but these.
    """
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        found = f"{len(parts)} parts" if isinstance(parts, tuple | list) else type(parts).__name__
        raise UserError(f"model/data.py: split() returned {found}; it must return training rows and hold-out rows")
    training = labelled_rows(parts[0], contract, "training")
    warning = _unknown_classes(training, parts[1], contract)
    return training, labelled_rows(parts[1], contract, "hold-out"), warning


def _single_classes(label: np.ndarray, contract: Contract, rows: str) -> Iterator[str]:
    """Yield one line for each label of a classification that has one class only."""
    if contract.task != "classification":
        return
    for field, values in zip(contract.labels, label.reshape(len(label), -1).T, strict=True):
        if len(found := classes(values)) < 2:
            yield f"{field.name}: the label is {label_text(found[0])} in all {rows}; two classes are needed"


def _unknown_classes(training: LabelledRows, table: Any, contract: Contract) -> str:
    """Return a sentence on the classes of the hold-out rows that no training row has."""
    if contract.task != "classification" or contract.label_count > 1 or not isinstance(table, pd.DataFrame):
        return ""
    columns, problems = dataframes.check_label(table, contract)
    if problems or not len(table):
        return ""
    known = set(classes(training.label).tolist())
    counts = pd.Series(labels.array_of(columns, contract, len(table))).value_counts().sort_index()
    unknown = {label_text(name): count for name, count in counts.items() if name not in known}
    if not unknown:
        return ""
    shown = ", ".join(f"{name} in {count} hold-out rows" for name, count in list(unknown.items())[:10])
    text = (
        f"model/data.py: split() leaves no training row of some classes of {contract.label.name}, so no model can "
        f"predict them: {shown}. If the rows are sorted, split them by another column or at random."
    )
    if len(unknown) == len(counts) or len(counts) < 2:
        raise UserError(text)
    return text


def _never_given(table: pd.DataFrame, columns: Columns, contract: Contract) -> Iterator[str]:
    """Return one line for each field that is missing in all rows: a model learns nothing from it."""
    unknown = [str(name) for name in table.columns if name not in contract.by_name]
    for field in contract.row:
        array = columns[field.name]
        empty = array == "" if field.is_text else np.isnan(array)
        if column_names.is_given(field, set(table.columns)) and not (field.nullable and empty.all()):
            continue
        near = column_names.misspelled(field, unknown)
        hint = f" The data has a column {near!r}: is it that one?" if near else ""
        yield f"{field.name}: missing in all {len(table)} rows; correct its name, or remove the field.{hint}"


def summarize(problems: list[Violation], rows: int) -> Iterator[str]:
    """Return one line for each field and reason: the number of rows, and up to three rows with their values."""
    groups: dict[tuple[str, str], list[Violation]] = {}
    for problem in problems:
        groups.setdefault((problem.field, problem.reason), []).append(problem)
    for (field, reason), found in groups.items():
        if found[0].row is None:
            yield f"{field}: {reason}"
        else:
            shown = ", ".join(f"row {p.row}: {p.value_text[:60]}" for p in found[:3])
            yield f"{field}: {len(found)} of {rows} rows ({shown}{', ...' if len(found) > 3 else ''}); {reason}"


def _large_numbers(problems: list[Violation], contract: Contract) -> Iterator[str]:
    """Yield one line for each int field whose bounds are those of float32 and that has larger numbers in the data."""
    for field in contract.row:
        values = [problem.value for problem in problems if problem.field == field.name]
        limited = field.kind == "int" and FLOAT32_MAX_EXACT_INT in map(abs, field.bounds.values())
        if limited and any(isinstance(v, int | float) and abs(v) > FLOAT32_MAX_EXACT_INT for v in values):
            yield (
                f"{field.name}: for numbers beyond {FLOAT32_MAX_EXACT_INT} declare it in model/schema.py as "
                'Annotated[int, "key"] if they are names, or as float, which rounds them to 7 digits'
            )


def classes(label: np.ndarray) -> np.ndarray:
    """Return the distinct labels, ascending."""
    # By hashes: to sort millions of texts takes a minute.
    return np.sort(pd.unique(label))


def label_text(value: Any) -> str:
    """Return a label as it is written in Python."""
    return repr(value.item() if isinstance(value, np.generic) else value)
