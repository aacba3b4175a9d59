"""This project's own protocol, `POST /predict`: a JSON list of rows in, a JSON list of predictions out."""

from __future__ import annotations

import orjson

from ...common.errors import RejectedError
from ...contract.columns import Columns, records
from ...contract.json_rows import InvalidRowsError, RowParser, TooManyRowsError
from ...live.live_release import LiveVersion
from ..errors import error_json


class JsonCodec:
    """Decodes and encodes JSON lists; it keeps nothing of a request, so one object serves them all."""

    def decode(self, body: bytes, parser: RowParser, limit: int) -> tuple[int, Columns]:
        """Return the number of rows in a body, and their columns."""
        try:
            return parser.parse(body, limit)
        except TooManyRowsError:
            raise RejectedError(413, f"at most {limit} rows are allowed per request (MAX_ROWS)") from None

    def encode(self, predictions: Columns, ids: list[str], version: LiveVersion) -> bytes:
        """Return the predictions, each with its id and the version's number."""
        rows = (
            records(predictions, version.artifact.contract, id=ids, version=[version.number] * len(ids)) if ids else []
        )
        return orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)

    def encode_error(self, error: RejectedError | InvalidRowsError) -> bytes:
        """Return the error, with every violation if rows are invalid."""
        return error_json(error)


JSON_CODEC = JsonCodec()
