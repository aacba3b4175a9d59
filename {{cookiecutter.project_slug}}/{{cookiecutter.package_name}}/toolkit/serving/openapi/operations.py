"""What the document describes, and what its operations are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...contract.schema import Contract
from ..asgi import KEY_HEADER
from ..live_release import LiveVersion, ReleaseSnapshot
from .schemas import TEXT, Schema, one_of, ref

JSON = "application/json"
ANY = "{version}"
KEY = {
    "name": KEY_HEADER.title(),
    "in": "header",
    "schema": TEXT,
    "description": "where several versions share the callers, those with the same key get the same version",
}
RETRY = {"Retry-After": {"required": True, "schema": {"type": "integer"}, "description": "seconds to wait"}}


class DocumentedVersion(NamedTuple):
    """A version, the name that it has in paths, and what the names of its schemas end in."""

    served: LiveVersion
    reference: str
    suffix: str

    def ref(self, name: str) -> Schema:
        """Return a reference to one of its schemas."""
        return ref(name + self.suffix)

    def name(self, operation: str) -> str:
        """Return an operation's name in the paths of this version."""
        return f"{operation}_version" if self.reference == ANY else f"{operation}_version_{self.reference}"


class Subject:
    """What the document describes: the versions of a release, and how much one request may bring."""

    def __init__(self, loaded: ReleaseSnapshot, max_rows: int, max_bytes: int) -> None:
        self.release, self.max_rows, self.max_bytes = loaded.release, max_rows, max_bytes
        self.champion = DocumentedVersion(loaded.versions[loaded.release.champion], ANY, "")
        #: What the names of a contract's schemas end in.
        self.suffixes: dict[Contract, str] = {self.champion.served.artifact.contract: ""}
        #: The names of all versions, by number and by alias.
        self.references: list[str] = []
        #: What the paths of any version describe, and those that take other rows: these have paths of their own.
        self.versions = [self.champion]
        for number, aliases in loaded.release.versions.items():
            served, references = loaded.versions[number], [str(number), *aliases]
            suffix = self.suffixes.setdefault(served.artifact.contract, f"_{number}")
            self.references += references
            self.versions += [DocumentedVersion(served, reference, suffix) for reference in references if suffix]

    def rows(self, version: DocumentedVersion) -> list[dict[str, Any]]:
        """Return rows that a version takes."""
        return version.served.artifact.example.rows[: min(2, self.max_rows)]

    def refusals(self, *statuses: int, schema: str = "Error") -> dict[str, Any]:
        """Return the answers that say why there is none; `schema` names that of their content."""
        reasons = {
            400: "the body is not what it should be",
            404: "there is no such model or version; the message names those that are served",
            413: f"more than {self.max_rows} rows (MAX_ROWS) or {self.max_bytes} bytes (MAX_BYTES)",
            429: "too many requests at once; try again in a moment",
            500: "the model failed on rows that keep its contract",
            503: "no version is loaded yet",
        }
        answers = {str(status): answer(reasons[status], ref(schema)) for status in statuses}
        return answers | ({"429": answers["429"] | {"headers": RETRY}} if 429 in statuses else {})

    def parameters(self, path: str, paths: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the parameters of a path; versions that have a path of their own among `paths` are no examples."""
        others = [version.reference for version in self.versions[1:]]
        own = [reference for reference in others if path.replace(ANY, reference) in paths]
        about: dict[str, dict[str, Any]] = {
            "model": {"schema": one_of([self.release.model])},
            # Examples, and no enumeration: clients outlive the versions that are served today.
            "version": {
                "description": "a version's number or alias",
                "schema": TEXT,
                "examples": {name: {"value": name} for name in self.references if name not in own},
            },
        }
        found = [name for name in about if f"{{{name}}}" in path]
        return [{"name": name, "in": "path", "required": True} | about[name] for name in found]


def answer(description: str, schema: Schema | None = None, kind: str = JSON) -> dict[str, Any]:
    """Return an answer with content; without a schema the document does not say of what form."""
    return {"description": description, "content": {kind: {} if schema is None else {"schema": schema}}}


def operation(
    name: str, summary: str, tag: str, answers: dict[str, Any], body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return an operation; `answers` are by status, `body` is what may be sent, by content type."""
    asked = {"requestBody": {"required": True, "content": body}} if body else {}
    return {"summary": summary, "operationId": name, "tags": [tag]} | asked | {"responses": answers}


def keyed(content: dict[str, Any]) -> dict[str, Any]:
    """Return an operation that names no version, and may name the caller."""
    return content | {"parameters": [KEY]}
