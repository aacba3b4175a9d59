"""The schemas among the document's components: those of each contract, and those of every release."""

from __future__ import annotations

from ...contract.schema import Contract
from ...contract.violation_json import MAX_JSON_VIOLATIONS
from .fields import input_schema, output_schemas
from .json_schema import INTEGER_FROM_0, STRING, TIMESTAMP, Schema, array_of, map_of, object_of, ref

VERSION_NUMBER: Schema = {"type": "integer", "minimum": 1, "description": "the number of the version"}
PREDICTION_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{40,}$", "description": "the id of a prediction"}
CLASS: Schema = {"type": ["string", "integer", "boolean"]}
THRESHOLD = "the probability of the second class from which on that class is predicted; null if the model decides"
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}


def contract_schemas(contract: Contract, suffix: str) -> dict[str, Schema]:
    """Return the schemas of rows, predictions, explanations and labels; their names end in the suffix."""
    optional = [field.name for field in contract.row if not field.required]
    base = {"description": "the mean output over a sample of the training rows"}
    prediction = {"description": "the output for this row: the sum of base and contributions"}
    schemas = {
        "Row": object_of({field.name: input_schema(field) for field in contract.row}, *optional, closed=True),
        "Prediction": object_of(output_schemas(contract) | {"id": PREDICTION_ID, "version": VERSION_NUMBER}),
        "Explanation": object_of(
            {
                "base": NUMBER_OR_NULL | base,
                "prediction": NUMBER_OR_NULL | prediction,
                "contributions": object_of({field.name: NUMBER_OR_NULL for field in contract.row}),
                "output": STRING | {"description": "the output that is explained"},
                "version": VERSION_NUMBER,
                "class": CLASS | {"description": "the class whose probability is explained"},
            },
            "class",
        ),
        "Label": object_of(
            {"id": PREDICTION_ID} | {label.name: input_schema(label) for label in contract.labels}, closed=True
        ),
    }
    return {name + suffix: schema for name, schema in schemas.items()}


VIOLATIONS = array_of(ref("Violation"), MAX_JSON_VIOLATIONS)
PERCENT: Schema = {"type": "integer", "minimum": 0, "maximum": 100}
VERSION = object_of(
    {
        "version": VERSION_NUMBER,
        "aliases": array_of(STRING),
        "trained": TIMESTAMP,
        "commit": STRING,
        "runtime": STRING,
        "runtime_note": STRING,
        "threshold": NUMBER_OR_NULL | {"description": THRESHOLD},
        "metrics": map_of({"type": "number"}, "on the hold-out rows, by name"),
        "data": {"type": "object"},
        "features": object_of(
            {
                "columns": map_of(STRING, "the columns that model/features.py makes for the model, and their kinds"),
                "microseconds": map_of({"type": "number"}, "what that takes in this service, by the number of rows"),
            }
        ),
    },
    "features",
)
#: Schemas that do not depend on a contract.
SHARED_SCHEMAS: dict[str, Schema] = {
    "Violation": object_of(
        {
            "row": {"type": ["integer", "null"], "minimum": 0, "description": "position in the request, from 0"},
            "field": STRING | {"description": "empty if the row or request as a whole is invalid"},
            "value": {"description": "the value sent, truncated if long"},
            "reason": STRING,
        }
    ),
    "Error": object_of({"error": STRING}),
    "InvalidRows": object_of({"error": STRING, "problems": VIOLATIONS}, "problems"),
    "FeedbackResult": object_of(
        {
            "taken": INTEGER_FROM_0,
            "known": INTEGER_FROM_0 | {"description": "those of them that were sent before; they are counted once"},
            "problems": VIOLATIONS,
        },
        "known",
    ),
    "Release": object_of(
        {
            "model": STRING,
            "description": STRING,
            "champion": VERSION_NUMBER,
            "released": TIMESTAMP,
            "traffic": map_of(PERCENT, "traffic weights in percent, by version"),
            "shadows": array_of(VERSION_NUMBER),
            "warm": array_of(VERSION_NUMBER) | {"description": "in memory for a rollback; answers nobody"},
            "problem": STRING | {"description": "why the newest release is not served, empty if it is"},
            "versions": array_of(VERSION),
            "inputs": map_of(STRING, "allowed values of each input field"),
            "outputs": map_of(STRING, "possible values of each output field"),
            "labels": array_of(STRING)
            | {"description": "the fields that feedback is compared with; empty without label"},
            "classes": array_of(CLASS) | {"description": "in the order of probabilities; empty of a regression"},
            "threshold": NUMBER_OR_NULL | {"description": THRESHOLD},
            "example": array_of(ref("Row")),
        }
    ),
}
