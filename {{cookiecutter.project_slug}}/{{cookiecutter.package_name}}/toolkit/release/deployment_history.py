"""What happens at one place, recorded in the registry; a registry that does not answer never fails a deployment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from ..common import console
from ..common.errors import UserError
from ..registry import deployments
from ..registry.client import Registry, connect
from ..registry.errors import mlflow_errors
from .store import Release


class DeploymentHistory:
    """Records what a target does at a place, such as a host or a namespace."""

    def __init__(self, tracking_uri: str, model_name: str, target: str, place: str) -> None:
        self._uri, self._model_name = tracking_uri, model_name
        self._target, self._place = target, place

    def deployed(self, release: Release, image: str = "", action: str = deployments.DEPLOYED) -> None:
        """Record that a release runs; its versions have not failed at this place any more."""

        def write(registry: Registry) -> None:
            champion, serves = release.champion, release.summary()
            deployments.record(
                registry, self._target, self._place, action, champion=champion, serves=serves, image=image
            )
            for version in registry.versions():
                if version.number in release.versions:
                    deployments.remove_failure(registry, version, self._target, self._place)

        self._write("The deployment", write)

    def removed(self) -> None:
        """Record that nothing runs."""
        self._write(
            "The removal",
            lambda registry: deployments.record(registry, self._target, self._place, deployments.REMOVED),
        )

    def failed(self, release: Release, before: Release | None, attempt: str, reason: str) -> bool:
        """Tag the versions of a failed rollout that did not run before, or else the champion.

        Return whether the registry has the tags.
        """
        new = set(release.versions) - set(before.versions if before else ()) or {release.champion}

        def write(registry: Registry) -> None:
            for number in sorted(new):
                deployments.tag_failure(registry, number, self._target, self._place, attempt, reason)

        return self._write("The failure", write)

    def attempts(self, release: Release) -> set[str]:
        """Return what failed here of a release's versions; `UserError` if the registry does not answer."""
        registry = connect(self._uri, self._model_name)
        with mlflow_errors(self._uri):
            return {
                failure.attempt
                for version in registry.versions()
                if version.number in release.versions
                for failure in deployments.failures(version)
                if (failure.target, failure.place) == (self._target, self._place)
            }

    def _write(self, what: str, write: Callable[[Registry], None]) -> bool:
        """Write, and return whether the registry took it."""
        try:
            registry = connect(self._uri, self._model_name)
            with mlflow_errors(self._uri):
                write(registry)
        except UserError as error:
            console.say(f"{what} is missing in the registry's history: {error}")
            return False
        return True


def attempt(release: Release, image: str) -> str:
    """Return a short hash of what is tried: the release, and the image with the code."""
    content = release.model_dump_json(exclude={"created"}) + image
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
