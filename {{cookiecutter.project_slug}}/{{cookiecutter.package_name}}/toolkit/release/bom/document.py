"""A CycloneDX document: assembled, checked against the schema, written.

Documents are plain dicts, since the library that knows the schema has no classes for model cards.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

SPECIFICATION = "1.6"
VERSION = Path(__file__).parents[2] / "VERSION"

Component = dict[str, Any]
#: The bom-refs that a component depends on, by its own.
Dependencies = dict[str, set[str]]


def document(
    subject: Component, components: list[Component], dependencies: Dependencies, created: datetime | None
) -> dict[str, Any]:
    """Return the document of a subject; the same arguments give the same document, its serial number included."""
    tool = {"type": "application", "name": "toolkit", "version": VERSION.read_text().strip()}
    content: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "version": 1,
        "metadata": {
            **({"timestamp": created.astimezone(UTC).isoformat()} if created else {}),
            "tools": {"components": [tool]},
            "component": subject,
        },
        "components": sorted(components, key=lambda component: component["bom-ref"]),
        "dependencies": [
            {"ref": ref, **({"dependsOn": sorted(on)} if on else {})} for ref, on in sorted(dependencies.items())
        ],
    }
    return {"serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(content)).urn, **content}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a document; one that the schema does not allow is a `ValueError`, and is not written."""
    text = json.dumps(content, indent=1)
    if error := JsonStrictValidator(SchemaVersion.from_version(SPECIFICATION)).validate_str(text):
        raise ValueError(f"{path.name} is not valid CycloneDX {SPECIFICATION}: {error}")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(path)


def properties(values: dict[str, Any]) -> list[dict[str, str]]:
    """Return properties by name; those without a value are left out."""
    return [{"name": name, "value": str(value)} for name, value in values.items() if value not in (None, "")]


def filled(component: Component) -> Component:
    """Return a component without the entries that have no value."""
    return {key: value for key, value in component.items() if value not in (None, "", [], {})}
