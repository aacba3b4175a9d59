"""The OpenAPI document of the service, derived from the contracts of the versions that are served."""

from __future__ import annotations

from typing import Any

from ..live_release import ReleaseSnapshot
from . import mlflow, open_inference, schemas, scoring
from .operations import Subject


def document(
    loaded: ReleaseSnapshot, *, max_rows: int, max_bytes: int, title: str, description: str, further: dict[str, Any]
) -> dict[str, Any]:
    """Return the document; `further` has the paths and components of endpoints beside the scoring routes."""
    subject = Subject(loaded, max_rows, max_bytes)
    own = schemas.COMMON | mlflow.COMMON | open_inference.COMMON
    for contract, suffix in subject.suffixes.items():
        own |= schemas.of_version(contract, suffix)
        own |= mlflow.of_version(contract, suffix, max_rows)
        own |= open_inference.of_version(contract, suffix, max_rows)
    paths = scoring.paths(subject) | mlflow.paths(subject) | open_inference.paths(subject)
    for path, operations in paths.items():
        for content in operations.values():
            if parameters := subject.parameters(path, paths) + content.get("parameters", []):
                content["parameters"] = parameters
    components = further.get("components", {})
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": f"version {subject.champion.served.number}"},
        "servers": [{"url": "."}],
        # What stands in front is what answers.
        "paths": paths | {path: found for path, found in further.get("paths", {}).items() if path not in paths},
        "components": components | {"schemas": components.get("schemas", {}) | own},
    }
