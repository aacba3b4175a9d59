"""One rule for what a text means, in training data, files and protocols: that of pandas, and so of MLflow."""

import io
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pandas._libs.parsers import STR_NA_VALUES
from pydantic import BaseModel
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.json_rows import InvalidRowsError, RowParser
from titanic_survival.toolkit.contract.schema import MISSING_TEXTS
from titanic_survival.toolkit.serving.protocols.casts import cast
from titanic_survival.toolkit.serving.protocols.tabular import csv_table
from titanic_survival.toolkit.serving.protocols.tensors import column_values


class Row(BaseModel):
    """One field of each kind; a category may be called as what is missing elsewhere."""

    number: float | None
    truth: bool | None
    category: Literal["a", "NULL"] | None


class Prediction(BaseModel):
    """Any label."""

    label: bool


CONTRACT = derive(Row, Prediction)
NUMBERS = [
    " 29",
    "29 ",
    "\t29",
    "+5",
    "1e3",
    "5.",
    ".5",
    "1E5",
    "1_0",
    " ",
    "0x10",
    "29f",
    "1 2",
    "nan ",
    " NA",
    "\u00a029",
]
NUMBERS += ["\u0661", "1,5", "--5", "True", "NaN1", "inf", "1e400"]
TRUTHS = ["true", "TRUE", "1", "0.0", "1.00", " 1", "yes", "False"]


def by_file(name: str, text: str) -> Any:
    """Return what a batch file makes of a text: a value, or "rejected"."""
    return _checked(name, pd.Series([text, "x"], dtype="str"))


def by_training(name: str, text: str) -> Any:
    """Return what training data makes of a text in a column of objects."""
    return _checked(name, pd.Series([text, None], dtype=object))


def _checked(name: str, values: pd.Series) -> Any:
    frame = pd.DataFrame({field.name: pd.Series([None, None], dtype=object) for field in CONTRACT.row})
    frame[name] = values
    columns, violations = dataframes.check_features(frame, CONTRACT)
    if any(violation.row == 0 for violation in violations):
        return "rejected"
    return _plain(columns[name][0])


def by_csv(name: str, text: str) -> Any:
    """Return what `/invocations` makes of a text in CSV."""
    frame = pd.DataFrame([{field.name: text if field.name == name else "" for field in CONTRACT.row}])
    body = io.BytesIO()
    frame.to_csv(body, index=False)
    _, rows = csv_table(body.getvalue(), CONTRACT, 10)
    return _parsed(name, cast(rows[0], CONTRACT))


def by_json(name: str, text: str) -> Any:
    """Return what `/invocations` makes of a text in JSON."""
    row: dict[str, Any] = {field.name: None for field in CONTRACT.row}
    return _parsed(name, cast(row | {name: text}, CONTRACT))


def _parsed(name: str, row: dict[str, Any]) -> Any:
    try:
        return _plain(RowParser(CONTRACT).parse_dicts([row])[1][name][0])
    except InvalidRowsError:
        return "rejected"


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else None if np.isnan(value) else float(value)


def test_texts_for_missing_values_are_those_of_pandas() -> None:
    assert MISSING_TEXTS == STR_NA_VALUES


@pytest.mark.parametrize("name", ["number", "truth", "category"])
def test_every_way_in_has_the_same_missing_values(name: str) -> None:
    for text in sorted(MISSING_TEXTS):
        expected = "NULL" if (name, text) == ("category", "NULL") else "" if name == "category" else None
        found = [way(name, text) for way in (by_file, by_training, by_csv, by_json)]
        assert found == [expected] * 4, text


@pytest.mark.parametrize(("name", "texts"), [("number", NUMBERS), ("truth", TRUTHS), ("category", ["a", " a", "b"])])
def test_every_way_in_reads_the_same_values_from_texts(name: str, texts: list[str]) -> None:
    for text in texts:
        found = {repr(way(name, text)) for way in (by_file, by_training, by_csv, by_json)}
        assert len(found) == 1, (text, found)
    assert by_json("number", " 29") == 29


def test_tensor_of_categories_has_the_same_missing_values() -> None:
    texts = [*sorted(MISSING_TEXTS), "a"]
    tensor = {"name": "category", "datatype": "BYTES", "shape": [len(texts)], "data": texts}
    values = column_values(tensor, CONTRACT.by_name["category"])
    assert values == ["NULL" if text == "NULL" else "a" if text == "a" else None for text in texts]
