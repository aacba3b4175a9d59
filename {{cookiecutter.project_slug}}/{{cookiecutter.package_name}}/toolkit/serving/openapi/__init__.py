"""The OpenAPI document of the service, derived from the contracts of the versions that it serves."""

from __future__ import annotations

from typing import Any

from ..live_release import ReleaseSnapshot
from . import components, mlflow, open_inference, scoring
from .release import DocumentedRelease


def document(
    loaded: ReleaseSnapshot, *, max_rows: int, max_bytes: int, title: str, description: str, further: dict[str, Any]
) -> dict[str, Any]:
    """Return the document; `further` is the document of the endpoints beside the scoring routes."""
    release = DocumentedRelease(loaded, max_rows, max_bytes)
    schemas = components.SHARED_SCHEMAS | mlflow.SHARED_SCHEMAS | open_inference.SHARED_SCHEMAS
    for contract, suffix in release.suffixes.items():
        schemas |= components.contract_schemas(contract, suffix)
        schemas |= mlflow.contract_schemas(contract, suffix, max_rows)
        schemas |= open_inference.contract_schemas(contract, suffix, max_rows)
    paths = scoring.paths(release) | mlflow.paths(release) | open_inference.paths(release)
    for path, operations in paths.items():
        for content in operations.values():
            if parameters := release.path_parameters(path, paths) + content.get("parameters", []):
                content["parameters"] = parameters
    others = further.get("components", {})
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": f"version {release.champion.live.number}"},
        "servers": [{"url": "."}],
        # The scoring routes stand in front, so theirs is the answer at a path that both have.
        "paths": paths | {path: content for path, content in further.get("paths", {}).items() if path not in paths},
        "components": others | {"schemas": others.get("schemas", {}) | schemas},
    }
