"""MLflow's scoring protocol, which is also what SageMaker asks of a container: `POST /invocations`, `GET /ping`.

A client of `mlflow models serve` gets the same statuses and predictions here, with these differences:

- Values that MLflow would change in silence are refused with 400: 1.5 for a whole number (there: 1), "no" or null for
  a truth value (there: true and false; even "false" is true there), a line of a CSV body that is longer than the header
  (there: shifted by a column), two CSV columns of one name (there: the first). The index of a split table is ignored.
- Accepted here and not there: lists in the order of the columns (`instances`, `inputs`); several vectors in any form,
  in CSV as JSON text in a cell; fields with a default that are missing in some rows only.
- Values that break the contract are named in `message`; there they are at the end of a stack trace.
- A prediction that is not a number is null, not NaN, which is no JSON.
- No Parquet, which would need pandas. A missing content type is 415, where MLflow's server fails.
"""

from __future__ import annotations

import re

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...common.errors import RejectedError
from ...contract.columns import Columns
from ...contract.json_rows import InvalidRowsError, RowParser
from ...version.artifact import Artifact
from ..live_release import LiveVersion
from ..scoring import Scoring, check_size, records, status_of
from . import sentence
from .casts import cast
from .tabular import SignatureError, csv_table, json_table

JSON, CSV = "application/json", "text/csv"
#: MLflow's names of errors, by status; of all others, and of tables that have not the columns of the signature.
CODES = {
    413: "RESOURCE_EXHAUSTED",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
MISTAKEN, OTHER_COLUMNS = "BAD_REQUEST", "INVALID_PARAMETER_VALUE"


class Invocation:
    """One request, whose body is JSON or CSV."""

    def __init__(self, *, is_csv: bool) -> None:
        self._is_csv = is_csv

    def read(self, body: bytes, parser: RowParser, limit: int) -> tuple[int, Columns]:
        """Return the number of rows in a body, and their columns."""
        contract = parser.contract
        names, rows = (csv_table if self._is_csv else json_table)(body, contract, limit)
        missing = [column.name for column in contract.row if column.required and column.name not in names]
        if missing:
            known = ", ".join(contract.by_name)
            raise SignatureError(400, f"Model is missing inputs {missing}; its columns are {known}")
        check_size(len(rows), limit)
        # What the model does not know is ignored, as MLflow does.
        known_only = [{name: row[name] for name in contract.by_name if name in row} for row in rows]
        if not self._is_csv:  # most JSON needs no cast; a CSV body is all text
            try:
                return parser.take(known_only)
            except InvalidRowsError:
                pass
        return parser.take([cast(row, contract) for row in known_only])

    def write(self, predictions: Columns, ids: list[str], served: LiveVersion) -> bytes:
        """Return the predictions as MLflow writes a DataFrame."""
        found = records(predictions) if ids else []
        return orjson.dumps({"predictions": found}, option=orjson.OPT_SERIALIZE_NUMPY)

    def refuse(self, error: RejectedError | InvalidRowsError) -> bytes:
        """Return what is wrong, with MLflow's error code."""
        code = OTHER_COLUMNS if isinstance(error, SignatureError) else CODES.get(status_of(error), MISTAKEN)
        return orjson.dumps({"error_code": code, "message": sentence(error)})


def exchange(content_type: str) -> Invocation:
    """Return how a body of some content type is read; `RejectedError` (415) if it is not."""
    kind, *parameters = [part.strip().lower() for part in content_type.split(";")]
    if kind not in (JSON, CSV):
        raise RejectedError(
            415, f"This predictor only supports the content types {JSON} and {CSV}. Got '{content_type}'."
        )
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name != "charset":
            raise RejectedError(415, f"Unrecognized content type parameters: {name}.")
        if value.strip('"') != "utf-8":
            raise RejectedError(415, "The scoring server only supports UTF-8")
    return Invocation(is_csv=kind == CSV)


def routes(scoring: Scoring) -> list[Route]:
    """Return the routes beside `/invocations`."""

    async def ping(request: Request) -> Response:
        scoring.find()
        return Response("\n", media_type=JSON)

    async def version(request: Request) -> Response:
        return Response(mlflow_version(scoring.find("champion").artifact), media_type=JSON)

    return [Route("/ping", ping), Route("/health", ping), Route("/version", version)]


def mlflow_version(artifact: Artifact) -> str:
    """Return the version of MLflow that a model version was made with, "unknown" if its lock does not name one."""
    lock = (artifact.folder / "requirements.lock").read_text()
    found = re.search(r"^mlflow==([^\s;\\]+)", lock, re.MULTILINE)
    return found[1] if found else "unknown"
