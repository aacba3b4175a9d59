"""Labelled rows: checked against the contract before anything is fitted on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..common.errors import UserError
from ..contract import dataframes
from ..contract.columns import Columns
from ..contract.schema import Contract, Violation


class LabelledRows(NamedTuple):
    """Checked rows: the table as loaded, the model's columns and the label, all of the same length."""

    table: pd.DataFrame
    columns: Columns
    label: np.ndarray


def check(table: Any, contract: Contract) -> LabelledRows:
    """Return the rows of a table; `UserError` lists everything that breaks the contract."""
    if not isinstance(table, pd.DataFrame):
        raise UserError(f"model/data.py returned {type(table).__name__} where a pandas DataFrame belongs")
    if table.empty:
        raise UserError("model/data.py: load() returned no rows; is the file or the query empty?")
    table = table.reset_index(drop=True)
    columns, problems = dataframes.check(table, contract)
    label_columns, label_problems = dataframes.check_label(table, contract)
    lines = list(summarize(problems + label_problems, len(table)))
    if not label_problems:
        label = dataframes.label_array(label_columns, contract.label)
        classes = np.unique(label)
        if contract.task == "classification" and len(classes) < 2:
            only = word(classes[0])
            lines.append(f"{contract.label.name}: the label is {only} in all {len(table)} rows; two classes are needed")
    if lines:
        raise UserError(
            "The data breaks the contract of model/schema.py:\n"
            + "\n".join(f"  - {line}" for line in lines)
            + "\nMend the rows in model/data.py, or allow these values in model/schema.py."
        )
    return LabelledRows(table, columns, label)


def summarize(problems: list[Violation], rows: int) -> Iterator[str]:
    """Return one line for each column and reason: how many rows, which for example, with what values."""
    groups: dict[tuple[str, str], list[Violation]] = {}
    for problem in problems:
        groups.setdefault((problem.field, problem.reason), []).append(problem)
    for (field, reason), found in groups.items():
        if found[0].row is None:
            yield f"{field}: {reason}"
        else:
            shown = ", ".join(f"row {p.row}: {'nothing' if p.value is None else repr(p.value)[:60]}" for p in found[:3])
            yield f"{field}: {len(found)} of {rows} rows ({shown}{', ...' if len(found) > 3 else ''}); {reason}"


def check_parts(contract: Contract, **parts: LabelledRows) -> None:
    """Check that each part of a split can serve its purpose; `UserError` names the one that cannot."""
    for name, part in parts.items():
        if contract.task == "classification" and len(np.unique(part.label)) < 2:
            raise UserError(f"model/data.py: split() leaves {name} rows of one class only: {word(part.label[0])}")


def word(value: Any) -> str:
    """Return a label as people write it."""
    return repr(value.item() if isinstance(value, np.generic) else value)
