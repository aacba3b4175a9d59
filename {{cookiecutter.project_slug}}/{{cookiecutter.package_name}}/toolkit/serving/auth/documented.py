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
    if "401" in refusals:
        refusals["401"]["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}
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
    return operation | {
        "responses": answers | {status: _either(answers.get(status), refusals[status]) for status in refusals}
    }


def _either(own: dict[str, Any] | None, refusal: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that may be an operation's own or a refusal; a protocol has a form of its own for errors."""
    if own is None or own.get("content", refusal["content"]) == refusal["content"]:
        return refusal
    schemas = [answer["content"]["application/json"]["schema"] for answer in (own, refusal)]
    return refusal | {"content": {"application/json": {"schema": {"anyOf": schemas}}}}
