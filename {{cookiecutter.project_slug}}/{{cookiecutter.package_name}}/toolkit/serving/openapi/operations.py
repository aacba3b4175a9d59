"""The parts that operations are made of."""

from __future__ import annotations

from typing import Any

from ..asgi import KEY_HEADER
from ..limits import MAX_KEY_BYTES
from .json_schema import STRING, Schema

JSON_TYPE = "application/json"
KEY_PARAMETER = {
    "name": KEY_HEADER.title(),
    "in": "header",
    "schema": STRING | {"maxLength": MAX_KEY_BYTES},
    "description": "with traffic weights, requests with the same key go to the same version",
}
RETRY_AFTER_HEADERS = {
    "headers": {
        "Retry-After": {"required": True, "schema": {"type": "integer"}, "description": "seconds to wait"},
    }
}


def operation(
    operation_id: str, summary: str, tag: str, responses: dict[str, Any], body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return an operation; `responses` are by status, `body` is the request's content by media type."""
    request = {"requestBody": {"required": True, "content": body}} if body else {}
    return {"summary": summary, "operationId": operation_id, "tags": [tag]} | request | {"responses": responses}


def response(description: str, schema: Schema | None = None, media_type: str = JSON_TYPE) -> dict[str, Any]:
    """Return a response with content; without a schema its form is not documented."""
    return {"description": description, "content": {media_type: {} if schema is None else {"schema": schema}}}


def with_key(content: dict[str, Any]) -> dict[str, Any]:
    """Return an operation whose version depends on the traffic weights, and so on the caller's key."""
    return content | {"parameters": [KEY_PARAMETER]}
