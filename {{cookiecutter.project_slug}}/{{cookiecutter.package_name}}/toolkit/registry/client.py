"""The registered model: its versions, aliases, tags and history."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import mlflow
import requests
from mlflow.exceptions import MlflowException

from ..common.errors import UserError
from ..common.names import CHAMPION
from .errors import mlflow_errors
from .history import HISTORY, Event
from .identity import who
from .runs import Run


class RegisteredVersion(NamedTuple):
    """A registered version as the registry knows it."""

    number: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    run_id: str

    @property
    def digest(self) -> str:
        """The SHA-256 of its artifact folder, as recorded at registration."""
        return self.tags.get("digest", "")


class Registry:
    """The versions of one registered model."""

    def __init__(self, tracking_uri: str, model_name: str) -> None:
        self.name = model_name
        self.uri = tracking_uri
        self.client = mlflow.MlflowClient()

    @property
    def is_server(self) -> bool:
        """Whether it is a server, with an interface of its own to look at."""
        return self.uri.startswith("http")

    @contextmanager
    def run(self, kind: str) -> Iterator[Run]:
        """Start a run of a kind ("train", "predict"); it is marked as failed if the block raises."""
        with mlflow.start_run(experiment_id=self._experiment(), run_name=kind, tags={"kind": kind}) as run:
            yield Run(run, self.name)

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(self.name)
        if found:
            if found.lifecycle_stage == "deleted":
                raise UserError(
                    f"The MLflow experiment {self.name!r} was deleted. Restore it with "
                    f"'mlflow experiments restore -x {found.experiment_id}', or set MODEL_NAME to another name."
                )
            return str(found.experiment_id)
        # A server keeps files where it was told to; a database in a file keeps them beside itself, not in the cwd.
        database = self.uri.removeprefix("sqlite:///") if self.uri.startswith("sqlite:///") else None
        location = (Path(database).resolve().parent / "mlartifacts").as_uri() if database else None
        return self.client.create_experiment(self.name, artifact_location=location)

    def versions(self) -> list[RegisteredVersion]:
        """Return all versions, newest first."""
        try:
            aliases = self.client.get_registered_model(self.name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return []
            raise
        named: dict[int, list[str]] = {}
        for alias, number in aliases.items():
            named.setdefault(int(number), []).append(alias)
        found = self.client.search_model_versions(f"name = '{self.name}'", max_results=10_000)
        versions = [
            RegisteredVersion(int(v.version), tuple(sorted(named.get(int(v.version), []))), dict(v.tags), v.run_id)
            for v in found
        ]
        return sorted(versions, key=lambda version: version.number, reverse=True)

    def find(self, reference: str) -> RegisteredVersion | None:
        """Return a version by number or alias, None if there is none."""
        return next((v for v in self.versions() if reference in (str(v.number), *v.aliases)), None)

    def get(self, reference: str) -> RegisteredVersion:
        """Return a version by number or alias; `UserError` names the versions there are."""
        versions = self.versions()
        for version in versions:
            if reference in (str(version.number), *version.aliases):
                return version
        if not versions:
            raise UserError(f"Model {self.name!r} has no versions in {self.uri} yet. Make one: make train")
        known = ", ".join(" = ".join([str(v.number), *v.aliases]) for v in versions[:20])
        raise UserError(f"Version {reference!r} of {self.name!r} does not exist; there are: {known}.")

    def tags(self) -> dict[str, str]:
        """Return the tags of the registered model, without the history."""
        try:
            tags = self.client.get_registered_model(self.name).tags
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {key: value for key, value in tags.items() if not key.startswith(HISTORY)}

    def describe(self, version: int, text: str, tags: dict[str, str]) -> None:
        """Set the description that the registry shows, and tags."""
        self.client.update_model_version(self.name, str(version), text[:100_000])
        for key, value in tags.items():
            self.client.set_model_version_tag(self.name, str(version), key, value[:5000])

    def point(self, alias: str, version: int) -> None:
        """Point an alias at a version."""
        self.client.set_registered_model_alias(self.name, alias, str(version))

    def drop(self, alias: str) -> None:
        """Remove an alias."""
        self.client.delete_registered_model_alias(self.name, alias)

    def move_champion(self, target: int, action: str, why: str) -> Event:
        """Point `champion` at a version and record it."""
        current, now = self.find(CHAMPION), datetime.now(UTC)
        event = Event(
            when=now.isoformat(timespec="seconds"),
            who=who(),
            action=action,
            source=current.number if current else None,
            target=target,
            why=why,
        )
        self.point(CHAMPION, target)
        self.client.set_registered_model_tag(self.name, f"{HISTORY}{now:%Y%m%dT%H%M%S.%f}", json.dumps(event._asdict()))
        return event

    def history(self) -> list[Event]:
        """Return the changes of the champion, oldest first."""
        tags = self.client.get_registered_model(self.name).tags
        return [Event(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(HISTORY)]

    def download(self, version: int, to: Path) -> None:
        """Fetch a version's artifact folder to `to`, which must not exist."""
        with tempfile.TemporaryDirectory(dir=to.parent) as scratch:
            try:
                folder = Path(mlflow.artifacts.download_artifacts(f"models:/{self.name}/{version}", dst_path=scratch))
            except MlflowException as error:
                heading, *failures = str(error).splitlines()
                if "failures occurred" not in heading:
                    raise
                # One for each file, of which the last says as much as all; the file's place is one of this try.
                cause = failures[-1].partition(": '")[0]
                raise UserError(f"Version {version} could not be fetched from {self.uri}: {cause}") from error
            model = mlflow.models.Model.load(str(folder))
            path = model.flavors["python_function"]["artifacts"]["version"]["path"]
            (folder / path).rename(to)


def connect(tracking_uri: str, model_name: str) -> Registry:
    """Return the registry at an address; `UserError` says at once when nothing answers there or when it refuses."""
    if "://" not in tracking_uri and tracking_uri != "databricks":
        raise UserError(
            f"MLFLOW_TRACKING_URI {tracking_uri!r} has no scheme: write http://{tracking_uri} for a server, or "
            "sqlite:////absolute/path.db for a database."
        )
    with mlflow_errors(tracking_uri):
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        if tracking_uri.startswith("http"):
            requests.get(f"{tracking_uri.rstrip('/')}/health", timeout=10)
        registry = Registry(tracking_uri, model_name)
        registry.client.search_experiments(max_results=1)
        return registry
