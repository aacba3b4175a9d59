"""MLflow's scoring protocol, which is also what SageMaker asks of a container: `POST /invocations`, `GET /ping`.

A client of `mlflow models serve` gets the same statuses and predictions here, with these differences:

- Values that MLflow would change silently are rejected with 400: 1.5 for an int (there: 1), "no" or null for a bool
  (there: true and false; even "false" is true there), True for a number of a CSV body (there: 1), a line of a CSV body
  that is longer than the header (there: shifted by a column), two CSV columns of one name (there: the first). The
  index of `dataframe_split` is ignored.
- Accepted here and not there: lists in the order of the features (`instances`, `inputs`); several vectors in any form,
  in CSV as JSON text in a cell; fields with a default that are missing in some rows only; in JSON, a text that means
  missing in a file ("", "NA") for a number.
- Violations are listed in `message`; there they are at the end of a stack trace.
- Columns that are no inputs, and inputs with a default that have no column, are named in `warnings` beside
  `predictions`, or rejected with 400 (STRICT). A table none of whose columns is an input is rejected.
- A prediction that is NaN is null here; JSON has no NaN.
- No Parquet, which would need pandas. A missing content type is 415; there it is 500.
- HEAD is answered where GET is; there it is 405.
"""

from __future__ import annotations

import re

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...common.errors import RejectedError
from ...common.names import CHAMPION
from ...contract import column_names
from ...contract.columns import Columns, records
from ...contract.json_rows import InvalidRowsError, RowParser
from ...contract.schema import MISSING_TEXTS
from ...live.live_release import LiveRelease, LiveVersion
from ...version.artifact import Artifact
from ..errors import status_of
from ..limits import check_row_count
from .casts import cast
from .error_text import error_line
from .tabular import SignatureError, csv_table, json_table

JSON, CSV = "application/json", "text/csv"
#: MLflow's error codes, by status.
CODES = {
    413: "RESOURCE_EXHAUSTED",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
#: The error code of all other statuses, and that of a table without the columns of the signature.
BAD_REQUEST, INVALID_PARAMETER_VALUE = "BAD_REQUEST", "INVALID_PARAMETER_VALUE"

#: SageMaker passes this header of a call on, and no other.
ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"


class MlflowCodec:
    """Decodes tables in JSON or CSV, and encodes predictions as MLflow writes a DataFrame.

    Made for one request, whose warnings it keeps for the answer; with `strict` they are errors.
    """

    def __init__(self, *, is_csv: bool, strict: bool = False) -> None:
        self._is_csv, self._strict = is_csv, strict
        self._warnings: list[str] = []

    def decode(self, body: bytes, parser: RowParser, limit: int) -> tuple[int, Columns]:
        """Return the number of rows in a body, and their columns."""
        contract = parser.contract
        names, rows = csv_table(body, contract, limit) if self._is_csv else json_table(body, parser, limit)
        missing = [field for field in contract.row if field.required and field.name not in names]
        if missing:
            missing_text = f"{[field.name for field in missing]}"
            missing_text += column_names.guesses(missing, names - contract.by_name.keys())
            names_text = ", ".join(contract.by_name)
            raise SignatureError(400, f"Model is missing inputs {missing_text}; its inputs are {names_text}")
        if (names or self._is_csv) and names.isdisjoint(contract.by_name):
            raise SignatureError(
                400, f"No column is an input of the model; its inputs are {', '.join(contract.by_name)}"
            )
        self._warnings = column_names.check(names, contract).sentences
        if self._warnings and self._strict:
            raise SignatureError(400, f"{'; '.join(self._warnings)} (STRICT)")
        check_row_count(len(rows), limit)
        # Columns that are no inputs of the model are ignored, as MLflow does.
        known_only = [{name: row[name] for name in contract.by_name if name in row} for row in rows]
        if not self._is_csv:  # most JSON needs no cast; in CSV everything is text
            for name in [field.name for field in contract.row if field.kind in ("text", "key")]:
                for row in known_only:  # as in CSV, and whatever the other rows need
                    if isinstance(text := row.get(name), str) and text in MISSING_TEXTS:
                        row[name] = None
            try:
                return parser.parse_dicts(known_only)
            except InvalidRowsError:
                pass
        return parser.parse_dicts([cast(row, contract) for row in known_only])

    def encode(self, predictions: Columns, ids: list[str], version: LiveVersion) -> bytes:
        """Return the predictions as MLflow writes a DataFrame."""
        rows = records(predictions, version.artifact.contract) if ids else []
        content = {"predictions": rows} | ({"warnings": self._warnings} if self._warnings else {})
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)

    def encode_error(self, error: RejectedError | InvalidRowsError) -> bytes:
        """Return the error with MLflow's error code."""
        is_signature = isinstance(error, SignatureError)
        code = INVALID_PARAMETER_VALUE if is_signature else CODES.get(status_of(error), BAD_REQUEST)
        return orjson.dumps({"error_code": code, "message": error_line(error)})


def codec_for(content_type: str, *, strict: bool = False) -> MlflowCodec:
    """Return the codec for a content type; `RejectedError` (415) if it is not supported."""
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
    return MlflowCodec(is_csv=kind == CSV, strict=strict)


def version_wanted(attributes: bytes) -> str | None:
    """Return the version that a caller names in SageMaker's custom attributes (`version=3`), None without one."""
    name, _, value = attributes.decode("latin-1").partition("=")
    return value.strip() if name.strip() == "version" else None


def routes(live: LiveRelease) -> list[Route]:
    """Return the routes beside `/invocations`."""

    async def ping(request: Request) -> Response:
        live.snapshot.find(CHAMPION)  # 503 before a release is loaded
        return Response("\n", media_type=JSON)

    async def version(request: Request) -> Response:
        return Response(mlflow_version(live.snapshot.find(CHAMPION).artifact), media_type=JSON)

    return [Route("/ping", ping), Route("/health", ping), Route("/version", version)]


def mlflow_version(artifact: Artifact) -> str:
    """Return the version of MLflow in the lock file of a model version, "unknown" without one."""
    lock = (artifact.folder / "requirements.lock").read_text()
    pin = re.search(r"^mlflow==([^\s;\\]+)", lock, re.MULTILINE)
    return pin[1] if pin else "unknown"
