"""Bills of materials (CycloneDX) of the environment, the image and the served versions, in build/sbom/."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from . import config
from .shared import container_image
from .shared.trust import model_store
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.redaction import redact_address
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.release.bom import container, document, lock, software
from .toolkit.release.bom.models import Origin, models
from .toolkit.release.bom.software import Subject
from .toolkit.release.container_engine import Engine, find_engine
from .toolkit.release.store import Release
from .toolkit.training import provenance


class LeftOutError(Exception):
    """A document that cannot be made now; the text says why, and what to do."""


class Source(NamedTuple):
    """What every document is made from; `created` is the time of the commit."""

    settings: config.Settings
    subject: Subject
    hashes: lock.Hashes
    created: datetime | None


def run(settings: config.Settings, folder: Path = config.SBOM_FOLDER) -> list[Path]:
    """Write the documents that can be made, say which cannot and why, and return the paths of those written."""
    source = Source(
        settings,
        Subject.installed(config.SERVICE_NAME, config.DESCRIPTION, config.AUTHOR),
        lock.hashes(software.locks(config.ROOT)),
        provenance.commit_time(config.ROOT),
    )
    makers: dict[str, Callable[[Source], dict[str, Any]]] = {
        "environment": _environment,
        "image": _image,
        "model": _models,
    }
    paths: list[Path] = []
    for name, make in makers.items():
        path = folder / f"{name}.cdx.json"
        # One of an earlier run would describe something else.
        path.unlink(missing_ok=True)
        try:
            with console.step(name) as step:
                content = make(source)
                document.write(path, content)
                step.detail = f"{_shown(path)}, {len(content['components'])} components"
        except LeftOutError as reason:
            console.say(f"- {name}: left out. {reason}")
            continue
        paths.append(path)
    console.next_steps(("make audit", "ask an advisory service about them"))
    return paths


def _environment(source: Source) -> dict[str, Any]:
    return software.environment(source.subject, source.hashes, source.created)


def _image(source: Source) -> dict[str, Any]:
    engine = find_engine(source.settings.container_engine)
    if engine is None:
        raise LeftOutError("Neither docker (with its daemon) nor podman nor buildah works here.")
    facts = _facts(source.settings, engine)
    found = container.contents(engine, facts.name)
    return software.image(facts, found, source.subject, source.hashes, source.created)


def _facts(settings: config.Settings, engine: Engine) -> software.ImageFacts:
    """Return the image of IMAGE, else the one that `make build` makes of this commit and the current release."""
    name = settings.image
    if name and container.facts(engine, name) is None:
        container.pull(engine, name)
    if not name:
        name = container_image.name(settings, _release(settings))
    found = container.facts(engine, name)
    if found is None:
        raise LeftOutError(f"{engine.name} has no image {name}: make build makes it, IMAGE names another.")
    return found


def _models(source: Source) -> dict[str, Any]:
    release, store = _release(source.settings), model_store(source.settings)
    return models(source.subject, store, release, _origin(source.settings, release), source.created)


def _release(settings: config.Settings) -> Release:
    release = model_store(settings).release()
    if release is None:
        raise LeftOutError(f"{settings.store} holds no release: make build or make deploy pulls the registry's.")
    return release


def _origin(settings: config.Settings, release: Release) -> Origin:
    """Return the runs of the versions; without a registry, none."""
    try:
        registry = connect(settings.mlflow_tracking_uri, settings.model_name)
        with mlflow_errors(settings.mlflow_tracking_uri):
            known = {version.number: version.run_id for version in registry.versions()}
    except UserError as error:
        console.say(f"The runs of the versions are left out: {error}")
        return Origin("", {})
    # A database on this machine is no address for others.
    address = redact_address(registry.uri) if registry.is_server else ""
    return Origin(address, {number: known[number] for number in release.versions if number in known})


def _shown(path: Path) -> str:
    return str(path.relative_to(config.ROOT)) if path.is_relative_to(config.ROOT) else str(path)
