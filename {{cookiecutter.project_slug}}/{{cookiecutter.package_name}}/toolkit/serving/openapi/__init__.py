"""The OpenAPI document of the service, derived from the contracts of the versions that it serves."""

from __future__ import annotations

from typing import Any

from ...live.live_release import ReleaseSnapshot
from ..limits import Limits
from . import components, mlflow_scoring, open_inference, own_routes
from .documented_release import DocumentedRelease


def document(
    snapshot: ReleaseSnapshot, limits: Limits, *, title: str, description: str, bentoml_document: dict[str, Any]
) -> dict[str, Any]:
    """Return the document; it includes `bentoml_document`, that of BentoML's routes."""
    release = DocumentedRelease(snapshot, limits)
    schemas = components.SHARED_SCHEMAS | mlflow_scoring.SHARED_SCHEMAS | open_inference.SHARED_SCHEMAS
    for contract, suffix in release.suffixes.items():
        schemas |= components.contract_schemas(contract, suffix)
        schemas |= mlflow_scoring.contract_schemas(contract, suffix, limits.max_rows)
        schemas |= open_inference.contract_schemas(contract, suffix, limits.max_rows)
    paths = own_routes.paths(release) | mlflow_scoring.paths(release) | open_inference.paths(release)
    for path, operations in paths.items():
        for content in operations.values():
            if parameters := release.path_parameters(path, paths) + content.get("parameters", []):
                content["parameters"] = parameters
    others = bentoml_document.get("components", {})
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": f"version {release.champion.live.number}"},
        "servers": [{"url": "."}],
        # At a path that both have, the scoring routes answer, not BentoML's.
        "paths": paths
        | {path: content for path, content in bentoml_document.get("paths", {}).items() if path not in paths},
        "components": others | {"schemas": others.get("schemas", {}) | schemas},
    }
