"""The bodies of MLflow's scoring protocol: the rows in JSON and in CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from pydantic_core import from_json

from ...common.errors import RejectedError
from ...contract.json_rows import RowParser
from ...contract.schema import MISSING_TEXTS, Contract, FieldSpec
from ..limits import check_row_count
from .codec import load
from .error_text import quote

# The module's own limit, 131,072 characters of a cell, is for all readers of the process; the body has one already.
csv.field_size_limit(2**31 - 1)

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")

Rows = list[dict[str, Any]]


class SignatureError(RejectedError):
    """A table without the columns of the model's signature; MLflow has an error code of its own for that."""


def json_table(body: bytes, parser: RowParser, limit: int) -> tuple[set[str], Rows]:
    """Return the names of the columns in a JSON body, and its rows."""
    contract = parser.contract
    try:
        content = load(_as_utf8(body), parser, limit)
    except ValueError as error:
        raise RejectedError(400, f"Invalid input. The body must be valid JSON: {error}") from None
    if not isinstance(content, dict) or len(forms := [form for form in FORMS if form in content]) != 1:
        raise RejectedError(400, f"The input must be a JSON object with exactly one of the fields {', '.join(FORMS)}")
    form, given = forms[0], content[forms[0]]
    if form == "dataframe_split":
        rows = _split(given, contract, limit)
    elif form == "dataframe_records":
        if not isinstance(given, list):
            raise RejectedError(400, f"Invalid input. dataframe_records must be a list of records, not {quote(given)}")
        rows = _check_dicts(given, form)
    else:
        rows = _instances(given, form, contract, limit)
    table = given["data"] if form == "dataframe_split" else given
    if isinstance(table, dict):
        return set(table), rows
    names = {name for row in rows for name in row}
    if not rows and form == "dataframe_split":
        names = set(map(str, given.get("columns") or ()))
    return names, rows


def _as_utf8(body: bytes) -> bytes:
    """Return JSON in UTF-8: what Python's own parser reads has a byte-order mark, or is UTF-16 or UTF-32, too."""
    if body[:1] not in (b"\xef", b"\xfe", b"\xff") and b"\0" not in body[:4]:
        return body
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding).encode()
    except UnicodeError as error:
        raise ValueError(f"not {encoding}: {error}") from None


def _split(given: Any, contract: Contract, limit: int) -> Rows:
    if not isinstance(given, dict) or "data" not in given or given.keys() - {"columns", "index", "data"}:
        raise RejectedError(
            400, "Invalid input. dataframe_split must be an object with 'data', 'columns' and at most 'index'"
        )
    data, columns = given["data"], given.get("columns")
    if not isinstance(data, list | dict) or not isinstance(columns, list | None):
        raise RejectedError(400, "Invalid input. 'data' and 'columns' of dataframe_split must be lists")
    if isinstance(data, dict):
        return _columnar(data, contract, limit)
    if data and isinstance(data[0], dict):
        return _check_dicts(data, "dataframe_split")
    if columns is None:
        raise SignatureError(
            400, f"dataframe_split has no 'columns'; the inputs of the model are {[*contract.by_name]}"
        )
    return _from_lists(list(map(str, columns)), data, contract, limit)


def _check_dicts(given: list[Any], form: str) -> Rows:
    for number, row in enumerate(given):
        if not isinstance(row, dict):
            raise SignatureError(400, f"Invalid input. row {number} of {form} must be an object, not {quote(row)}")
    return given


def _instances(given: Any, form: str, contract: Contract, limit: int) -> Rows:
    """Return the rows of an object of columns, of a list of objects, or of lists in the order of the features."""
    if isinstance(given, dict):
        return _columnar(given, contract, limit)
    if not isinstance(given, list):
        raise SignatureError(400, f"Invalid input. {form} must be a list of rows or an object of columns")
    if given and isinstance(given[0], dict):
        return _check_dicts(given, form)
    names, rows = list(contract.by_name), given
    if len(names) == 1:
        depth = _depth(given) - contract.row[0].depth
        rows = [[given]] if depth == 0 else [[value] for value in given] if depth == 1 else given
    return _from_lists(names, rows, contract, limit)


def _columnar(given: dict[str, Any], contract: Contract, limit: int) -> Rows:
    columns = {name: given[name] for name in contract.by_name if name in given}
    is_value = {name: _is_value(value, contract.by_name[name]) for name, value in columns.items()}
    if columns and all(is_value.values()) and not all(value == [] for value in columns.values()):
        return [columns]
    lengths = {name: len(value) if isinstance(value, list) else -1 for name, value in columns.items()}
    if len(set(lengths.values())) > 1 or any(is_value[name] and lengths[name] for name in columns):
        raise RejectedError(400, "Invalid input. The columns must be lists of the same length")
    check_row_count(max(lengths.values(), default=0), limit)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _is_value(value: Any, field: FieldSpec) -> bool:
    """Whether what a column has is the value of one row, and no list of such values."""
    # No vector has missing elements, so a list of nothing else is one of missing vectors.
    if isinstance(value, list) and value and field.depth and all(element is None for element in value):
        return False
    return _depth(value) <= field.depth


def _depth(value: Any) -> int:
    """Return how many lists are nested around the first element that is not missing."""
    depth = 0
    while isinstance(value, list):
        depth, value = depth + 1, next((element for element in value if element is not None), None)
    return depth


def _from_lists(names: list[str], rows: list[Any], contract: Contract, limit: int) -> Rows:
    """Return rows from lists, each with one value for each name."""
    check_row_count(len(rows), limit)
    _check_unique(names, contract)
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise RejectedError(
                400, f"Invalid input. row {number} must be a list of {len(names)} values, one for each column"
            )
    return [dict(zip(names, row, strict=True)) for row in rows]


def _check_unique(names: list[str], contract: Contract) -> None:
    repeated = [name for name in contract.by_name if names.count(name) > 1]
    if repeated:
        text = f"Invalid input. Two columns have the name {', '.join(repeated)}; remove or rename one"
        raise SignatureError(400, text)


def csv_table(body: bytes, contract: Contract, limit: int) -> tuple[set[str], Rows]:
    """Return the names of the columns of a CSV body with a header, and its rows with the features among them."""
    try:
        # Spreadsheets write a byte-order mark at the beginning of a file.
        lines = (cells for cells in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")) if cells)
        names = next(lines, [])
        if not names:
            raise RejectedError(400, "Failed to parse input as CSV: the first line must name the columns")
        _check_unique(names, contract)
        features = [(names.index(name), field) for name, field in contract.by_name.items() if name in names]
        rows: Rows = []
        count = 0
        for count, cells in enumerate(lines, start=1):
            if len(cells) != len(names):
                text = f"row {count - 1} has {len(cells)} values, the header {len(names)}"
                raise RejectedError(400, f"Failed to parse input as CSV: {text}")
            if count <= limit:
                rows.append({field.name: _cell(cells[position], field) for position, field in features})
        check_row_count(count, limit)
        return set(names), rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise RejectedError(400, f"Failed to parse input as CSV in UTF-8: {error}") from None


def _cell(text: str, field: FieldSpec) -> Any:
    if text in MISSING_TEXTS and text not in field.categories:
        return None
    if field.length is None:
        return text
    try:
        return from_json(text)
    except ValueError:
        return text
