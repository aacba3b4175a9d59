"""The audit of bills of materials: their components, asked for at an advisory service, and what was found."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from packageurl import PackageURL

from ...common.errors import UserError
from .osv import Advisory, Osv, Query, fixed_in

#: Components of other kinds, such as Python itself or a version's files, have no packages in the service.
PYTHON_KIND, DEBIAN_KIND = "pypi", "deb"


class Finding(NamedTuple):
    """A vulnerability of a component: its names in several databases, and the versions that fix it, if any do.

    `found_in` are the documents that have the component.
    """

    component: str
    version: str
    query: Query
    names: tuple[str, ...]
    fixed: tuple[str, ...]
    summary: str
    found_in: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name by which people know it: that of CVE where it has one."""
        return next((name for name in self.names if name.startswith("CVE-")), self.names[0])

    @property
    def fails(self) -> bool:
        """Whether someone can act: on a library always, on a package of the system when a fixed one is released."""
        return self.query.ecosystem == "PyPI" or bool(self.fixed)


class Listed(NamedTuple):
    """The packages in some documents: by query, the component's name and version, and the documents that have it.

    `others` are the components that the service does not know, by name.
    """

    packages: dict[Query, tuple[str, str, tuple[str, ...]]]
    others: tuple[str, ...]


def read(paths: Iterable[Path]) -> Listed:
    """Return the packages in CycloneDX documents; `UserError` if one cannot be read."""
    packages: dict[Query, tuple[str, str, tuple[str, ...]]] = {}
    others: set[str] = set()
    for path in paths:
        try:
            components = json.loads(path.read_bytes())["components"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is no bill of materials ({error}). Make it again: make sbom") from error
        for component in components:
            query = as_query(component.get("purl", ""))
            if query is None:
                if component["type"] in ("platform", "library"):
                    others.add(f"{component['name']} {component.get('version', '')}".strip())
                continue
            name, version, found_in = packages.get(query, (component["name"], component["version"], ()))
            document = path.name.partition(".")[0]
            packages[query] = name, version, tuple(dict.fromkeys([*found_in, document]))
    return Listed(packages, tuple(sorted(others)))


def as_query(purl: str) -> Query | None:
    """Return how OSV names the package of a purl; None if it has none of its kind."""
    if not purl:
        return None
    package = PackageURL.from_string(purl)
    if package.type == PYTHON_KIND and package.version:
        return Query("PyPI", package.name, package.version)
    if package.type == DEBIAN_KIND and package.namespace == "debian":
        name, _, version = package.qualifiers.get("upstream", "").partition("@")
        release = re.search(r"-(\d+)", package.qualifiers.get("distro", ""))
        # Advisories are about source packages, each for a release of Debian.
        return Query(f"Debian:{release[1]}", name or package.name, version or package.version) if release else None
    return None


def audit(listed: Listed, service: Osv, accepted: Mapping[str, str]) -> list[Finding]:
    """Return the vulnerabilities of some packages, without those that are accepted; `UnavailableError`."""
    found: list[Finding] = []
    for query, advisories in service.find(list(listed.packages)).items():
        name, version, found_in = listed.packages[query]
        for group in _same(advisories):
            names = tuple(sorted({one for advisory in group for one in _names(advisory)}))
            fixed = tuple(dict.fromkeys(one for advisory in group for one in fixed_in(advisory, query)))
            summary = next((advisory["summary"] for advisory in group if advisory.get("summary")), "")
            if not set(names) & set(accepted):
                found.append(Finding(name, version, query, names, fixed, summary, found_in))
    return sorted(found, key=lambda one: (not one.fails, one.component.lower(), one.name))


def accepted(path: Path) -> dict[str, str]:
    """Return the vulnerabilities that a file accepts, with the reasons: a name and a reason a line, # is a comment."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = {}
    for number, line in enumerate(lines, 1):
        name, _, reason = line.strip().partition(" ")
        if not name or name.startswith("#"):
            continue
        if not reason.strip():
            raise UserError(f"{path}, line {number}: {name} has no reason; write why it is accepted after the name.")
        found[name] = reason.strip()
    return found


def _names(advisory: Advisory) -> list[str]:
    # Debian names as upstream what an advisory is about. One about several vulnerabilities is none of them alone.
    upstream = advisory.get("upstream", ())
    return [str(name) for name in (advisory["id"], *advisory.get("aliases", ()), *upstream[: len(upstream) == 1])]


def _same(advisories: list[Advisory]) -> list[list[Advisory]]:
    """Return advisories in groups, of which each is about one vulnerability in the words of several databases."""
    groups: list[tuple[set[str], list[Advisory]]] = []
    for advisory in advisories:
        names, members = set(_names(advisory)), [advisory]
        for group in [group for group in groups if group[0] & names]:
            names |= group[0]
            members = [*group[1], *members]
            groups.remove(group)
        groups.append((names, members))
    return [members for _, members in groups]
