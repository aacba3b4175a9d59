"""The bill of materials of the served versions (ML-BOM): model cards, data, files, origin."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ...contract.schema import Contract
from ...version.artifact import CARD, Artifact
from ..store import Release, Store
from . import licences
from .document import Component, Dependencies, document, filled, properties
from .libraries import package_url
from .software import Subject

#: Keys of a version's details that become properties.
FACTS = ("trained", "by", "commit", "runtime", "runtime_note")


class Origin(NamedTuple):
    """Where versions are registered: the registry's address, if others can use it, and their runs by number."""

    address: str
    runs: Mapping[int, str]


def models(
    subject: Subject, store: Store, release: Release, origin: Origin, created: datetime | None
) -> dict[str, Any]:
    """Return the document of the versions of a release; `UserError` if one is not as it was released."""
    root = subject.component()
    components: dict[str, Component] = {}
    dependencies: Dependencies = {root["bom-ref"]: set()}
    for number, aliases in sorted(release.versions.items()):
        version = store.load(number, release.digests.get(number, ""))
        data = _data(release.model, version)
        model = _model(release, number, aliases, version, data["bom-ref"], subject, origin)
        components |= {part["bom-ref"]: part for part in (data, model)}
        dependencies[root["bom-ref"]].add(model["bom-ref"])
        dependencies |= {model["bom-ref"]: {data["bom-ref"]}, data["bom-ref"]: set()}
    return document(root, list(components.values()), dependencies, created)


def _model(
    release: Release,
    number: int,
    aliases: Iterable[str],
    version: Artifact,
    data: str,
    subject: Subject,
    origin: Origin,
) -> Component:
    details, run = version.details, origin.runs.get(number, "")
    purl = package_url("mlflow", None, release.model, str(number), repository_url=origin.address, run_id=run)
    facts = {
        "aliases": ", ".join(aliases),
        "digest": release.digests.get(number),
        "run": run,
        **{name.replace("_", " "): details.get(name) for name in FACTS},
        "traffic weight": release.weights.get(number),
        "shadow": "true" if number in release.shadows else "",
        **{f"gate {gate['metric']}": gate["reason"] or "passed" for gate in details.get("gates", ())},
    }
    author = details.get("author")
    return filled(
        {
            "type": "machine-learning-model",
            "bom-ref": f"model:{release.model}@{number}",
            "name": release.model,
            "version": str(number),
            "description": details.get("description"),
            "authors": [{"name": author}] if author else [],
            "licenses": licences.of_text(subject.licence),
            "purl": purl,
            "externalReferences": [{"type": "model-card", "url": f"store/versions/{number}/{CARD}"}],
            "properties": properties(facts),
            "components": _files(number, version),
            "modelCard": _card(version, data),
        }
    )


def _card(version: Artifact, data: str) -> dict[str, Any]:
    details, contract = version.details, version.contract
    importance = details.get("importance", {})
    limitations = [gate["reason"] for gate in details.get("gates", ()) if gate["reason"]]
    return filled(
        {
            "modelParameters": filled(
                {
                    "approach": {"type": "supervised"},
                    "task": contract.task,
                    "modelArchitecture": details.get("estimator"),
                    "datasets": [{"ref": data}],
                    "inputs": _formats(contract, "row"),
                    "outputs": _formats(contract, "prediction"),
                }
            ),
            "quantitativeAnalysis": filled({"performanceMetrics": _metrics(details)}),
            "considerations": filled({"technicalLimitations": limitations}),
            "properties": properties({f"importance of {name}": value for name, value in importance.items()}),
        }
    )


def _formats(contract: Contract, part: str) -> list[dict[str, str]]:
    """Return the fields of a row or of a prediction; CycloneDX has one text for each."""
    return [{"format": f"{field.name}: {field.expects}"} for field in getattr(contract, part)]


def _metrics(details: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the metrics on the hold-out rows; the name of a group's has the group after a slash."""
    found = []
    for name, value in details.get("metrics", {}).items():
        metric, _, group = name.partition("/")
        size = details.get("groups", {}).get(group)
        part = f"{group.replace('/', ' = ', 1)}{f' ({size} rows)' if size else ''}" if group else "hold-out rows"
        found.append({"type": metric, "value": repr(value), "slice": part})
    return found


def _data(model: str, version: Artifact) -> Component:
    """Return the data that a version was made from; versions of the same data have it in common."""
    found = version.details.get("data", {})
    rows = {name.replace("_", " "): found.get(name) for name in ("training_rows", "holdout_rows")}
    facts = properties({"digest": found.get("digest"), **rows})
    # The parts belong to the identity: the same rows may be split in another way.
    reference = ":".join(["data", model, *(str(value) for value in found.values())])
    return filled(
        {
            "type": "data",
            "bom-ref": reference,
            "name": f"{model} labelled rows",
            "version": found.get("digest"),
            "data": [filled({"type": "dataset", "name": "labelled rows", "contents": filled({"properties": facts})})],
        }
    )


def _files(number: int, version: Artifact) -> list[Component]:
    return [
        {
            "type": "file",
            "bom-ref": f"file:{number}/{path.name}",
            "name": path.name,
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
        }
        for path in sorted(version.folder.iterdir())
        if path.is_file()
    ]
