"""Python's distributions as components, and what requires what among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from email.message import Message
from email.parser import HeaderParser

from packageurl import PackageURL
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from . import licences
from .document import Component, Dependencies, filled
from .lock import Hashes


class Libraries:
    """The distributions of an environment, from their metadata; `project` is no library, but what they are for."""

    def __init__(self, texts: Iterable[str], python: Mapping[str, str], project: str) -> None:
        self._python = dict(python)
        found = [HeaderParser().parsestr(text) for text in texts]
        self._all = [one for one in found if canonicalize_name(one["Name"]) != canonicalize_name(project)]
        #: Where a distribution is installed twice, the first is imported.
        self._imported: dict[str, Message] = {}
        for one in self._all:
            self._imported.setdefault(canonicalize_name(one["Name"]), one)

    def components(self, hashes: Hashes) -> list[Component]:
        """Return a component for each distribution, with the hashes of the files that the locks accept for it."""
        return [self._component(one, hashes) for one in self._all]

    def dependencies(self, root: str, requirements: Iterable[str], extras: Iterable[str]) -> Dependencies:
        """Return which distributions need which; `requirements` are those of the component `root`, with some extras."""
        wanted = {name: {""} for name in self._imported}
        edges: Dependencies = {_purl(one): set() for one in self._all}
        edges[root] = set()
        pending: list[tuple[str, str]] = [(name, "") for name in self._imported]
        for text in requirements:
            for extra in ("", *extras):
                edges[root] |= self._require(text, extra, wanted, pending)
        while pending:
            name, extra = pending.pop()
            one = self._imported[name]
            for text in one.get_all("Requires-Dist", ()):
                edges[_purl(one)] |= self._require(text, extra, wanted, pending)
        return edges

    def _require(self, text: str, extra: str, wanted: dict[str, set[str]], pending: list[tuple[str, str]]) -> set[str]:
        """Return what meets a requirement, and note the extras that it asks for."""
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            return set()
        name, marker = canonicalize_name(requirement.name), requirement.marker
        if name not in self._imported:
            return set()
        if marker and not marker.evaluate({**self._python, "extra": extra}):
            return set()
        for asked in requirement.extras - wanted[name]:
            wanted[name].add(asked)
            pending.append((name, asked))
        return {_purl(self._imported[name])}

    def _component(self, metadata: Message, hashes: Hashes) -> Component:
        name, version = metadata["Name"], metadata["Version"]
        accepted = hashes.get((canonicalize_name(name), version), [])
        return filled(
            {
                "type": "library",
                "bom-ref": _purl(metadata),
                "name": name,
                "version": version,
                "description": metadata.get("Summary", ""),
                "hashes": [{"alg": "SHA-256", "content": content} for content in accepted],
                "licenses": licences.of_distribution(metadata),
                "purl": _purl(metadata),
            }
        )


def interpreter(python: Mapping[str, str]) -> Component:
    """Return the component of Python itself."""
    version = python["python_full_version"]
    purl = package_url("generic", None, "python", version)
    return {
        "type": "platform",
        "bom-ref": purl,
        "name": "python",
        "version": version,
        "description": python["platform_python_implementation"],
        "licenses": licences.of_text("PSF-2.0"),
        "purl": purl,
    }


def package_url(kind: str, namespace: str | None, name: str, version: str, **qualifiers: str) -> str:
    """Return a package URL (purl), such as pkg:pypi/numpy@2.4.6."""
    kept = {key: value for key, value in sorted(qualifiers.items()) if value}
    return str(PackageURL(kind, namespace, name, version, kept).to_string())


def _purl(metadata: Message) -> str:
    return package_url("pypi", None, canonicalize_name(metadata["Name"]), metadata["Version"])
