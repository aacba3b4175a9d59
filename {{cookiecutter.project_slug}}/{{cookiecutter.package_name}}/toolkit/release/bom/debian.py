"""The operating system of an image and its packages (Debian and what derives from it) as components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import licences
from .document import Component, filled
from .libraries import package_url


def system(release: Mapping[str, str]) -> Component:
    """Return the component of the operating system, from the fields of its os-release."""
    name, version = release.get("ID", "unknown"), release.get("VERSION_ID", "")
    return filled(
        {
            "type": "operating-system",
            "bom-ref": f"os:{name}@{version}",
            "name": name,
            "version": version,
            "description": release.get("PRETTY_NAME", ""),
        }
    )


def package(fields: Mapping[str, str], release: Mapping[str, str]) -> Component:
    """Return the component of an installed package, from its fields in dpkg's status."""
    name, version = fields["Package"], fields["Version"]
    system = release.get("ID", "debian")
    purl = package_url(
        "deb",
        system,
        name,
        version,
        arch=fields.get("Architecture", ""),
        distro=f"{system}-{release['VERSION_ID']}" if "VERSION_ID" in release else "",
        upstream=_upstream(fields),
    )
    return filled(
        {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "description": fields.get("Description", ""),
            "licenses": licences.of_package(fields.get("Licences", "")),
            "purl": purl,
        }
    )


def packages(found: Iterable[Mapping[str, str]], release: Mapping[str, str]) -> list[Component]:
    """Return the components of the installed packages."""
    return [package(fields, release) for fields in found]


def _upstream(fields: Mapping[str, str]) -> str:
    """Return the source package, as name or name@version, where it is not that of the package; advisories name it."""
    name, _, version = fields.get("Source", "").partition(" ")
    return f"{name}@{version.strip('()')}" if version else name
