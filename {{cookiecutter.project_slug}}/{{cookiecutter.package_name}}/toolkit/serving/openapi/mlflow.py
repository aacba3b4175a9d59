"""MLflow's scoring protocol, as far as JSON Schema can say it: what is documented is taken, and more is."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from ...contract.schema import Contract
from ..protocols.mlflow import BAD_REQUEST, CODES, CSV, INVALID_PARAMETER_VALUE
from ..protocols.tabular import FORMS
from .operations import JSON, Subject, answer, keyed, operation
from .schemas import TEXT, Schema, given, one_of, predicted, record, ref, several

TAG = "MLflow scoring protocol"
TABLE = "a header with the names of the columns, then a line for each row; a cell without text is a missing value"
MORE = "one of four forms; columns in another order, others beside them, and values that MLflow casts are taken too"
COMMON: dict[str, Schema] = {
    "MlflowError": record(
        {"error_code": one_of([*CODES.values(), BAD_REQUEST, INVALID_PARAMETER_VALUE]), "message": TEXT}
    )
}


def of_version(contract: Contract, suffix: str, limit: int) -> dict[str, Schema]:
    """Return what is sent to a version and what it answers, under names that end in a suffix."""
    values = {column.name: given(column) for column in contract.row}
    optional = [column.name for column in contract.row if not column.required]
    cells = {"type": "array", "prefixItems": [*values.values()], "minItems": len(values), "maxItems": len(values)}
    lists = several(cells, limit) | {"description": f"rows of values, in the order {', '.join(values)}"}
    columns = record({name: several(value, limit) for name, value in values.items()}, *optional)
    # Without a row there is nothing that names the columns.
    a_row = {"minItems": 1}
    parts = {
        "MlflowRecords": several(record(values, *optional), limit) | a_row,
        "MlflowLists": lists | a_row,
        "MlflowColumns": columns | {"description": "a list for each column, all of the same length"},
    }
    any_part: Schema = {"anyOf": [ref(name + suffix) for name in parts]}
    split = record({"columns": {"const": [*values]}, "data": lists, "index": several({})}, "index", closed=True)
    forms = dict(zip(FORMS, (split, ref(f"MlflowRecords{suffix}"), any_part, any_part), strict=True))
    request = {"type": "object", "properties": forms, "oneOf": [{"required": [form]} for form in FORMS]}
    return {name + suffix: part for name, part in parts.items()} | {
        f"MlflowRequest{suffix}": request | {"description": MORE},
        f"MlflowResponse{suffix}": record({"predictions": several(record(predicted(contract)))}),
    }


def paths(subject: Subject) -> dict[str, Any]:
    """Return the operations, by path and method."""
    champion, rows = subject.champion, subject.rows(subject.champion)
    body = {
        JSON: {"schema": champion.ref("MlflowRequest"), "example": {"dataframe_records": rows}},
        CSV: {"schema": TEXT | {"description": TABLE}, "example": table(rows, champion.served.artifact.contract)},
    }
    answers = {"200": answer("one prediction for each row", champion.ref("MlflowResponse"))}
    answers |= subject.refusals(400, 413, 429, 500, 503, schema="MlflowError")
    answers |= {"415": answer(f"another content type than {JSON} and {CSV}", TEXT, "text/plain")}
    # MLflow's own server calls these JSON too, and they are not.
    loaded = {"200": answer("a version is loaded")} | subject.refusals(503)
    version = {"200": answer("the version of MLflow that the champion was made with")} | subject.refusals(503)
    return {
        "/invocations": {"post": keyed(operation("invocations", "Score a table", TAG, answers, body))},
        "/ping": {"get": operation("ping", "Whether a version is loaded", TAG, loaded)},
        "/health": {"get": operation("health", "Whether a version is loaded", TAG, loaded)},
        "/version": {"get": operation("version", "The champion's version of MLflow", TAG, version)},
    }


def table(rows: list[dict[str, Any]], contract: Contract) -> str:
    """Return rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(contract.by_name)
    for row in rows:
        values = [row.get(column.name, column.default) for column in contract.row]
        writer.writerow([json.dumps(value) if isinstance(value, list) else value for value in values])
    return text.getvalue()
