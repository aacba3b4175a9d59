"""What the document describes: the versions of a release, and what their operations share."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...contract.schema import Contract
from ...live.live_release import LiveVersion, ReleaseSnapshot
from ..limits import Limits
from .json_schema import Schema, ref, string_enum
from .operations import RETRY_AFTER_HEADERS, response

#: Stands in paths for a version's number or alias.
VERSION_PARAMETER = "{version}"
#: How summaries name the versions that an operation is about.
THE_CHAMPION, ONE_VERSION = "the champion", "one version, by number or alias"
#: The same for an operation whose version depends on the traffic weights.
BY_TRAFFIC = "the champion, or by traffic weights"


class DocumentedVersion(NamedTuple):
    """A version, its name in paths, and the suffix of its schemas' names."""

    live: LiveVersion
    reference: str
    suffix: str

    @property
    def contract(self) -> Contract:
        """The contract of its rows and predictions."""
        return self.live.artifact.contract

    def ref(self, name: str) -> Schema:
        """Return a reference to one of its schemas."""
        return ref(name + self.suffix)

    def operation_id(self, operation: str) -> str:
        """Return the id of an operation in the paths of this version."""
        by_parameter = self.reference == VERSION_PARAMETER
        return f"{operation}_version" if by_parameter else f"{operation}_version_{self.reference}"


class DocumentedRelease:
    """The versions of a release, and the limits of one request."""

    def __init__(self, snapshot: ReleaseSnapshot, limits: Limits) -> None:
        self.release, self.limits = snapshot.release, limits
        self.champion = DocumentedVersion(snapshot.versions[snapshot.release.champion], VERSION_PARAMETER, "")
        #: The suffix of the names of a contract's schemas.
        self.suffixes: dict[Contract, str] = {self.champion.contract: ""}
        #: The names of all versions: numbers and aliases.
        self.references: list[str] = []
        #: What the paths with a parameter describe, and the versions with another contract, which have own paths.
        self.versions = [self.champion]
        for number, aliases in snapshot.release.versions.items():
            live, references = snapshot.versions[number], [str(number), *aliases]
            suffix = self.suffixes.setdefault(live.artifact.contract, f"_{number}")
            self.references += references
            self.versions += [DocumentedVersion(live, reference, suffix) for reference in references if suffix]

    def example_rows(self, version: DocumentedVersion) -> list[dict[str, Any]]:
        """Return valid rows of a version."""
        return version.live.artifact.example.rows[: min(2, self.limits.max_rows)]

    def error_responses(self, *statuses: int, schema: str = "Error") -> dict[str, Any]:
        """Return the responses for error statuses; `schema` names that of their content."""
        descriptions = {
            400: "the request body is invalid",
            404: "unknown model or version; the message names those that are served",
            408: f"the body took longer than {self.limits.read_seconds:g} s to arrive (READ_SECONDS)",
            413: f"more than {self.limits.max_rows} rows (MAX_ROWS) or {self.limits.max_bytes} bytes (MAX_BYTES)",
            415: "another content type than JSON, or another compression than gzip and deflate",
            429: "too many requests, or bytes of requests, at once; try again in a moment",
            500: "the model failed on valid rows",
            503: "no version is loaded yet",
        }
        responses = {str(status): response(descriptions[status], ref(schema)) for status in statuses}
        return responses | ({"429": responses["429"] | RETRY_AFTER_HEADERS} if 429 in statuses else {})

    def path_parameters(self, path: str, paths: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the parameters of a path; versions that have a path of their own among `paths` are no examples."""
        others = [version.reference for version in self.versions[1:]]
        own = [reference for reference in others if path.replace(VERSION_PARAMETER, reference) in paths]
        parameters: dict[str, dict[str, Any]] = {
            "model": {"schema": string_enum([self.release.model])},
            # Examples, and no enumeration: clients outlive the versions that are served today.
            "version": {
                "description": "a version's number or alias",
                "schema": {"type": "string"},
                "examples": {name: {"value": name} for name in self.references if name not in own},
            },
        }
        names = [name for name in parameters if f"{{{name}}}" in path]
        return [{"name": name, "in": "path", "required": True} | parameters[name] for name in names]
