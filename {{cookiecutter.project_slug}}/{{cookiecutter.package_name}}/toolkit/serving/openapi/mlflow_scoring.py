"""MLflow's scoring protocol, as far as JSON Schema can describe it: the service accepts what is here, and more."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from ...contract.schema import Contract
from ..protocols.mlflow_scoring import BAD_REQUEST, CODES, CSV, INVALID_PARAMETER_VALUE
from ..protocols.tabular import FORMS
from .documented_release import DocumentedRelease
from .fields import input_schema, output_schemas
from .json_schema import STRING, Schema, array_of, object_of, ref, string_enum, tuple_of
from .operations import JSON_TYPE, operation, response, with_key

TAG = "MLflow scoring protocol"
CSV_DESCRIPTION = "a header with the names of the columns, then a line for each row; an empty cell is a missing value"
REQUEST_DESCRIPTION = (
    "one of four forms; columns in another order, additional columns, and values that MLflow casts are accepted too"
)
SHARED_SCHEMAS: dict[str, Schema] = {
    "MlflowError": object_of(
        {"error_code": string_enum([*CODES.values(), BAD_REQUEST, INVALID_PARAMETER_VALUE]), "message": STRING}
    )
}
WARNINGS = {"description": "columns that are no inputs, and inputs that have no column; only if there are any"}
#: The columns are known from the rows, so there is at least one.
NOT_EMPTY: Schema = {"minItems": 1}


def contract_schemas(contract: Contract, suffix: str, max_rows: int) -> dict[str, Schema]:
    """Return the schemas of requests and responses; their names end in the suffix."""
    values = {field.name: input_schema(field) for field in contract.row}
    optional = [field.name for field in contract.row if not field.required]
    order = {"description": f"rows of values, in the order {', '.join(values)}"}
    lists = array_of(tuple_of([*values.values()]), max_rows) | order
    columns = object_of({name: array_of(value, max_rows) for name, value in values.items()}, *optional)
    tables = {
        "MlflowRecords": array_of(object_of(values, *optional), max_rows) | NOT_EMPTY,
        "MlflowLists": lists | NOT_EMPTY,
        "MlflowColumns": columns | {"description": "a list for each column, all of the same length"},
    }
    table: Schema = {"anyOf": [ref(name + suffix) for name in tables]}
    split = object_of({"columns": {"const": [*values]}, "data": lists, "index": array_of({})}, "index", closed=True)
    forms = dict(zip(FORMS, (split, ref(f"MlflowRecords{suffix}"), table, table), strict=True))
    request = {"type": "object", "properties": forms, "oneOf": [{"required": [form]} for form in FORMS]}
    return {name + suffix: schema for name, schema in tables.items()} | {
        f"MlflowRequest{suffix}": request | {"description": REQUEST_DESCRIPTION},
        f"MlflowResponse{suffix}": object_of(
            {"predictions": array_of(object_of(output_schemas(contract))), "warnings": array_of(STRING) | WARNINGS},
            "warnings",
        ),
    }


def paths(release: DocumentedRelease) -> dict[str, Any]:
    """Return the operations, by path and method."""
    champion, rows = release.champion, release.example_rows(release.champion)
    body = {
        JSON_TYPE: {"schema": champion.ref("MlflowRequest"), "example": {"dataframe_records": rows}},
        CSV: {"schema": STRING | {"description": CSV_DESCRIPTION}, "example": as_csv(rows, champion.contract)},
    }
    predictions = response("one prediction for each row, in the same order", champion.ref("MlflowResponse"))
    responses = {"200": predictions} | release.error_responses(400, 408, 413, 429, 500, 503, schema="MlflowError")
    unsupported = f"another content type than {JSON_TYPE} and {CSV}, or another compression than gzip and deflate"
    responses["415"] = response(unsupported, STRING, "text/plain")
    responses["415"]["content"][JSON_TYPE] = {"schema": ref("MlflowError")}
    # Without schemas: MLflow's own server declares these responses as JSON, and they are not.
    loaded = {"200": response("a version is loaded")} | release.error_responses(503)
    version = {"200": response("the version of MLflow that the champion was made with")} | release.error_responses(503)
    readiness = "Check readiness: whether a version is loaded"
    return {
        "/invocations": {"post": with_key(operation("invocations", "Score a table", TAG, responses, body))},
        "/ping": {"get": operation("ping", readiness, TAG, loaded)},
        "/health": {"get": operation("health", readiness, TAG, loaded)},
        "/version": {"get": operation("version", "Get the champion's version of MLflow", TAG, version)},
    }


def as_csv(rows: list[dict[str, Any]], contract: Contract) -> str:
    """Return rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(contract.by_name)
    for row in rows:
        values = [row.get(field.name, field.default) for field in contract.row]
        writer.writerow([json.dumps(value) if isinstance(value, list) else value for value in values])
    return text.getvalue()
