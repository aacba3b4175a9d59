"""What the OpenAPI document says of who may call; Swagger UI's Authorize button is made from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

REFUSALS = {
    401: "credentials are missing or not accepted",
    403: "the credentials do not permit it",
    503: "not ready, or it cannot be verified who may call",
}
FREE: dict[str, Any] = {"security": []}
ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


def secured(
    document: dict[str, Any], schemes: dict[str, str], statuses: tuple[int, ...], exempts: Callable[[str], bool]
) -> dict[str, Any]:
    """Return a document with the schemes of credentials, and with the refusals of each operation that asks for them."""
    refusals = {str(status): {"description": REFUSALS[status], "content": ERROR} for status in statuses}
    paths = {
        path: {
            method: operation | FREE if exempts(path) else _asking(operation, refusals)
            for method, operation in operations.items()
        }
        for path, operations in document["paths"].items()
    }
    described = {
        scheme: {"type": "http", "scheme": scheme, "description": description}
        for scheme, description in schemes.items()
    }
    security: list[dict[str, list[str]]] = [{scheme: []} for scheme in schemes]
    components = document["components"] | {"securitySchemes": described}
    return document | {"components": components, "security": security, "paths": paths}


def _asking(operation: dict[str, Any], refusals: dict[str, Any]) -> dict[str, Any]:
    # BentoML has status codes as numbers; one of them must not be described twice.
    answers = {str(status): answer for status, answer in operation.get("responses", {}).items()}
    return operation | {"responses": answers | refusals}
