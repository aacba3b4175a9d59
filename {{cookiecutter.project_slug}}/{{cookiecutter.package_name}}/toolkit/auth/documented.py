"""What the OpenAPI document says of who may call; Swagger UI's Authorize button is made from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

REFUSALS = {
    401: "credentials are missing or not accepted",
    403: "the credentials do not permit it",
    503: "not ready, or it cannot be verified who may call",
}
ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


def secured(
    document: dict[str, Any], schemes: dict[str, str], statuses: tuple[int, ...], exempts: Callable[[str], bool]
) -> dict[str, Any]:
    """Return a document with the schemes of credentials, and with the refusals of each operation that asks for them."""
    refusals = {str(status): {"description": REFUSALS[status], "content": ERROR} for status in statuses}
    components = document["components"] | {
        "securitySchemes": {
            scheme: {"type": "http", "scheme": scheme, "description": description}
            for scheme, description in schemes.items()
        }
    }
    paths = {
        path: {
            method: operation
            | ({"security": []} if exempts(path) else {"responses": _by_text(operation.get("responses", {})) | refusals})
            for method, operation in operations.items()
        }
        for path, operations in document["paths"].items()
    }
    security: list[dict[str, list[str]]] = [{scheme: []} for scheme in schemes]
    return document | {"components": components, "security": security, "paths": paths}


def _by_text(responses: dict[Any, Any]) -> dict[str, Any]:
    """Return responses by status as text; BentoML has numbers, and one status must not be described twice."""
    return {str(status): response for status, response in responses.items()}
