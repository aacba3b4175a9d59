"""The registered model: the connection to its registry, its versions, aliases and tags, and downloads."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import mlflow
import requests
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from ..common.errors import UserError
from ..common.names import DIGEST, version_label
from ..common.redaction import redact
from .connection import alone_with, check_address
from .downloads import place_version
from .errors import is_forbidden, mlflow_errors
from .moved_artifacts import correct_addresses


class RegisteredVersion(NamedTuple):
    """A version of the model in the registry."""

    number: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    run_id: str

    @property
    def digest(self) -> str:
        """The SHA-256 of its artifact folder, recorded at registration."""
        return self.tags.get(DIGEST, "")

    @property
    def label(self) -> str:
        """The number and the aliases, as in "2 = champion"."""
        return version_label(self.number, self.aliases)


class Registry:
    """The versions of one registered model."""

    def __init__(self, tracking_uri: str, model_name: str) -> None:
        self.name = model_name
        self.uri = tracking_uri
        self.client = mlflow.MlflowClient()

    @property
    def is_server(self) -> bool:
        """Whether the registry is a server, and not a database."""
        return self.uri.startswith("http")

    def create(self) -> None:
        """Create the model if it may be missing; `UserError` if it exists and this user may not read it.

        Where nobody has a permission by default, a server answers 403 for a model that does not exist, too.
        """
        try:
            self._model()
        except MlflowException as error:
            if not is_forbidden(error):
                raise
            try:
                self.client.create_registered_model(self.name)
            except MlflowException as other:
                if other.error_code == "RESOURCE_ALREADY_EXISTS":
                    raise error from None
                raise

    def versions(self) -> list[RegisteredVersion]:
        """Return all versions, newest first."""
        model = self._model()
        if model is None:
            return []
        aliases: dict[int, list[str]] = {}
        for alias, number in model.aliases.items():
            aliases.setdefault(int(number), []).append(alias)
        found = self.client.search_model_versions(f"name = '{self.name}'", max_results=10_000)
        versions = [
            RegisteredVersion(int(v.version), tuple(sorted(aliases.get(int(v.version), []))), dict(v.tags), v.run_id)
            for v in found
        ]
        return sorted(versions, key=lambda version: version.number, reverse=True)

    def find(self, reference: str) -> RegisteredVersion | None:
        """Return a version by number or alias, None if there is none."""
        return find(self.versions(), reference)

    def get(self, reference: str) -> RegisteredVersion:
        """Return a version by number or alias; `UserError` lists the existing versions."""
        versions = self.versions()
        if not versions:
            raise UserError(f"Model {self.name!r} has no versions in {self.uri} yet. Make one: make train")
        version = find(versions, reference)
        if version is None:
            known = ", ".join(version.label for version in versions[:20])
            raise UserError(f"Version {reference!r} of {self.name!r} does not exist; there are: {known}.")
        return version

    def tags(self) -> dict[str, str]:
        """Return the tags of the model, empty if it does not exist."""
        model = self._model()
        return dict(model.tags) if model else {}

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag of the model; where two add it at the same moment, the later one wins."""
        try:
            self.client.set_registered_model_tag(self.name, key, redact(value))
        except MlflowException as error:
            # Both found none, and MLflow's database has taken the other one.
            if not re.search("IntegrityError|UniqueViolation", str(error)):
                raise
            self.client.set_registered_model_tag(self.name, key, redact(value))

    def delete_tag(self, key: str) -> None:
        """Delete a tag of the model."""
        self.client.delete_registered_model_tag(self.name, key)

    def set_description(self, version: int, text: str) -> None:
        """Set the description of a version; a long one is cut to what MLflow accepts."""
        self.client.update_model_version(self.name, str(version), redact(text)[:100_000])

    def set_version_tags(self, version: int, tags: dict[str, str]) -> None:
        """Set tags of a version; long values are cut to what MLflow accepts."""
        for key, value in tags.items():
            self.client.set_model_version_tag(self.name, str(version), key, redact(value)[:5000])

    def delete_version_tag(self, version: int, key: str) -> None:
        """Delete a tag of a version."""
        self.client.delete_model_version_tag(self.name, str(version), key)

    def set_alias(self, alias: str, version: int) -> None:
        """Set an alias to a version."""
        self.client.set_registered_model_alias(self.name, alias, str(version))

    def download(self, version: int, to: Path) -> None:
        """Download the artifact folder of a version to `to`, which must not exist."""
        with tempfile.TemporaryDirectory(dir=to.parent) as scratch:
            try:
                folder = Path(mlflow.artifacts.download_artifacts(f"models:/{self.name}/{version}", dst_path=scratch))
            except MlflowException as error:
                heading, *failures = str(error).splitlines()
                if "failures occurred" not in heading:
                    raise
                # MLflow lists every file with its path in the scratch folder; the last cause is enough.
                cause = failures[-1].partition(": '")[0]
                raise UserError(f"Version {version} could not be downloaded from {self.uri}: {cause}") from error
            place_version(folder, Path(scratch), to, version)

    def _model(self) -> RegisteredModel | None:
        """Return the registered model, None if there is none; an error with 403 may mean either."""
        try:
            return self.client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise


def find(versions: Iterable[RegisteredVersion], reference: str) -> RegisteredVersion | None:
    """Return one of some versions by number or alias, None if it is not among them."""
    return next((version for version in versions if reference in (str(version.number), *version.aliases)), None)


def connect(tracking_uri: str, model_name: str) -> Registry:
    """Return the registry at a tracking URI; `UserError` if it does not answer or rejects the credentials."""
    check_address(tracking_uri)
    with mlflow_errors(tracking_uri), alone_with(tracking_uri):
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        if tracking_uri.startswith("http"):
            requests.get(f"{tracking_uri.rstrip('/')}/health", timeout=10)
        registry = Registry(tracking_uri, model_name)
        registry.client.search_experiments(max_results=1)
        correct_addresses(tracking_uri)
        return registry
