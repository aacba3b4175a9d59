"""The bills of materials of an environment and of an image."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from . import debian, inventory, licences
from .document import Component, Dependencies, document, filled, properties
from .libraries import Libraries, interpreter, package_url
from .lock import Hashes


class Subject(NamedTuple):
    """The project whose software is listed: its distribution's name, its version, licence, requirements and extras."""

    name: str
    version: str
    description: str
    author: str
    licence: str
    requirements: tuple[str, ...]
    extras: tuple[str, ...]

    @classmethod
    def installed(cls, name: str, description: str, author: str) -> Subject:
        """Return the project as it is installed here, by the metadata of its setup.py."""
        try:
            found = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            return cls(name, "", description, author, "", (), ())
        licence = [*(found.get_all("License-Expression") or ()), *(found.get_all("License") or ()), ""][0]
        required, extras = (tuple(found.get_all(key) or ()) for key in ("Requires-Dist", "Provides-Extra"))
        return cls(name, found["Version"], description, author, licence, required, extras)

    def component(self) -> Component:
        """Return the component of the project's code."""
        return filled(
            {
                "type": "application",
                "bom-ref": f"project:{self.name}",
                "name": self.name,
                "version": self.version,
                "description": self.description,
                "authors": [{"name": self.author}] if self.author else [],
                "licenses": licences.of_text(self.licence),
            }
        )


class ImageFacts(NamedTuple):
    """What an engine knows of an image: name, id, digest if the name has it, labels, platform."""

    name: str
    id: str
    digest: str
    labels: dict[str, str]
    platform: str


def environment(subject: Subject, hashes: Hashes, created: datetime | None) -> dict[str, Any]:
    """Return the document of the environment of this process: its distributions, and Python."""
    python = inventory.python()
    libraries = Libraries(inventory.distributions(list(filter(None, sys.path))), python, subject.name)
    root = subject.component()
    components, dependencies = _python_part(root, libraries, python, subject, hashes)
    return document(root, components, dependencies, created)


def image(
    facts: ImageFacts, found: dict[str, Any], subject: Subject, hashes: Hashes, created: datetime | None
) -> dict[str, Any]:
    """Return the document of an image: code, distributions, Python, operating system; `found` is its inventory."""
    root, code = _container(facts), subject.component()
    libraries = Libraries(found["distributions"], found["python"], subject.name)
    if found["environment"]:  # the image was built with these libraries alone
        subject = subject._replace(extras=(found["environment"],))
    components, dependencies = _python_part(code, libraries, found["python"], subject, hashes)
    system = debian.system(found["operating_system"])
    packages = debian.packages(found["packages"], found["operating_system"])
    components += [code, system, *packages]
    dependencies[root["bom-ref"]] = {code["bom-ref"], system["bom-ref"]}
    dependencies[system["bom-ref"]] = {package["bom-ref"] for package in packages}
    return document(root, components, dependencies, created)


def locks(folder: Path) -> Iterable[Path]:
    """Return the locks of a project, those of optional libraries too."""
    return sorted((folder / "requirements").rglob("*.lock"))


def _python_part(
    root: Component, libraries: Libraries, python: dict[str, str], subject: Subject, hashes: Hashes
) -> tuple[list[Component], Dependencies]:
    own = interpreter(python)
    dependencies = libraries.dependencies(root["bom-ref"], subject.requirements, subject.extras)
    dependencies[root["bom-ref"]].add(own["bom-ref"])
    return [*libraries.components(hashes), own], dependencies


def _container(facts: ImageFacts) -> Component:
    repository, _, tag = facts.name.partition("@")[0].rpartition(":")
    if "/" in tag or not repository:  # a port, or no tag at all
        repository, tag = facts.name.partition("@")[0], ""
    last = repository.rpartition("/")[2]
    purl = package_url("oci", None, last, facts.digest, repository_url=repository, tag=tag) if facts.digest else ""
    return filled(
        {
            "type": "container",
            "bom-ref": f"image:{facts.id}",
            "name": repository,
            "version": tag or facts.digest,
            "hashes": [{"alg": "SHA-256", "content": facts.id.removeprefix("sha256:")}],
            "purl": purl,
            "properties": properties({"platform": facts.platform, **dict(sorted(facts.labels.items()))}),
        }
    )
