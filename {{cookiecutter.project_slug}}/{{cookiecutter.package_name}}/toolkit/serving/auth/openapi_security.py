"""Security in the OpenAPI document; Swagger UI makes its Authorize button from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

DESCRIPTIONS = {
    401: "credentials are missing or rejected",
    403: "the credentials lack the permission",
    503: "not ready, or the credentials cannot be checked at present",
}
NO_SECURITY: dict[str, Any] = {"security": []}
ERROR_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


def add_security(
    document: dict[str, Any], schemes: dict[str, str], statuses: tuple[int, ...], is_exempt: Callable[[str], bool]
) -> dict[str, Any]:
    """Return a document with security schemes, and with the rejections of each operation that needs credentials.

    `schemes` describes the credentials by their HTTP scheme, `statuses` are those of rejections.
    """
    rejections = {str(status): {"description": DESCRIPTIONS[status], "content": ERROR_CONTENT} for status in statuses}
    if "401" in rejections:
        rejections["401"]["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}
    paths = {
        path: {
            method: operation | NO_SECURITY if is_exempt(path) else _secured(operation, rejections)
            for method, operation in operations.items()
        }
        for path, operations in document["paths"].items()
    }
    security_schemes = {
        scheme: {"type": "http", "scheme": scheme, "description": description}
        for scheme, description in schemes.items()
    }
    security: list[dict[str, list[str]]] = [{scheme: []} for scheme in schemes]
    components = document["components"] | {"securitySchemes": security_schemes}
    return document | {"components": components, "security": security, "paths": paths}


def _secured(operation: dict[str, Any], rejections: dict[str, Any]) -> dict[str, Any]:
    # BentoML has status codes as numbers; one of them must not be described twice.
    responses = {str(status): response for status, response in operation.get("responses", {}).items()}
    return operation | {
        "responses": responses
        | {status: _merged(responses.get(status), rejection) for status, rejection in rejections.items()}
    }


def _merged(own: dict[str, Any] | None, rejection: dict[str, Any]) -> dict[str, Any]:
    """Return a response that is either an operation's own, in the error format of its protocol, or a rejection."""
    if own is None or own.get("content", rejection["content"]) == rejection["content"]:
        return rejection
    schemas = [response["content"]["application/json"]["schema"] for response in (own, rejection)]
    return rejection | {"content": {"application/json": {"schema": {"anyOf": schemas}}}}
