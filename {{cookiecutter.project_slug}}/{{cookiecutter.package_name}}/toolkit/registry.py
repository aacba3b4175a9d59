"""The model registry and the record of runs: the only module that talks to MLflow."""

from __future__ import annotations

import base64
import getpass
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

# Before MLflow is imported: it reads these once. A dead server is to be noticed in seconds, not after five minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow
import pandas as pd
import requests
from mlflow.entities.webhook import WebhookEventStr
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Schema
from mlflow.utils.credentials import read_mlflow_creds

from . import artifact
from .contract import Column, Contract
from .errors import UserError

CHAMPION, CHALLENGER = "champion", "challenger"
#: Registered-model tags that make up the history; one tag an event, so that two writers never overwrite each other.
HISTORY = "history."
#: What MLflow delivers of all that a release depends on; tags of the model itself are not among its events.
EVENTS: tuple[WebhookEventStr, ...] = (
    "model_version_alias.created",
    "model_version_alias.deleted",
    "model_version_tag.set",
    "model_version_tag.deleted",
)


class Version(NamedTuple):
    """A registered version as the registry knows it."""

    number: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    run_id: str

    @property
    def digest(self) -> str:
        """The SHA-256 of its artifact folder, as recorded at registration."""
        return self.tags.get("digest", "")


class Event(NamedTuple):
    """One change of the champion: who, when, from, to, why."""

    when: str
    who: str
    action: str
    source: int | None
    target: int
    why: str


class Run:
    """One run under way in the tracking server."""

    def __init__(self, run: Any, model_name: str) -> None:
        self.id: str = run.info.run_id
        self._experiment: str = run.info.experiment_id
        self._model_name = model_name

    @property
    def address(self) -> str:
        """Where a person looks at the run: a URL on a server, the run's id on a database."""
        uri = mlflow.get_tracking_uri().rstrip("/")
        place = f"#/experiments/{self._experiment}/runs/{self.id}"
        return f"{uri}/{place}" if uri.startswith("http") else f"{place} (make mlflow shows it)"

    def parameters(self, values: dict[str, Any]) -> None:
        """Record parameters; long values are cut to what MLflow takes."""
        mlflow.log_params({key: str(value)[:6000] for key, value in values.items()})

    def metrics(self, values: dict[str, float]) -> None:
        """Record metrics."""
        mlflow.log_metrics(values)

    def tags(self, values: dict[str, str]) -> None:
        """Set tags."""
        mlflow.set_tags(values)

    def files(self, folder: Path, under: str) -> None:
        """Record the files of a folder."""
        mlflow.log_artifacts(str(folder), artifact_path=under)

    def dataset(self, frame: pd.DataFrame, name: str, label: str) -> str:
        """Record which rows were used, and return their digest."""
        with _quiet():
            dataset = mlflow.data.from_pandas(frame, name=name, targets=label)
            mlflow.log_input(dataset, context="training")
        return str(dataset.digest)

    def register(self, version: artifact.Artifact, requirements: list[str]) -> int:
        """Log a version as a self-contained MLflow model, register it, and return its number."""
        package = __package__.split(".")[0]
        with tempfile.TemporaryDirectory() as scratch, _quiet():
            code = Path(scratch) / package
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(Path(__file__).parent, code / "toolkit", ignore=ignore)
            shutil.copy(Path(__file__).parents[1] / "__init__.py", code)
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("pyfunc.py")),
                code_paths=[str(code)],
                artifacts={"version": str(version.folder)},
                model_config={"package": package},
                signature=signature(version.contract),
                input_example=_example(version),
                pip_requirements=requirements,
                registered_model_name=self._model_name,
            )
        return int(info.registered_model_version)


class Registry:
    """The versions of one registered model."""

    def __init__(self, tracking_uri: str, model_name: str) -> None:
        self.name = model_name
        self.uri = tracking_uri
        self._client = mlflow.MlflowClient()

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
        found = self._client.get_experiment_by_name(self.name)
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
        return self._client.create_experiment(self.name, artifact_location=location)

    def versions(self) -> list[Version]:
        """Return all versions, newest first."""
        try:
            aliases = self._client.get_registered_model(self.name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return []
            raise
        named: dict[int, list[str]] = {}
        for alias, number in aliases.items():
            named.setdefault(int(number), []).append(alias)
        found = self._client.search_model_versions(f"name = '{self.name}'", max_results=10_000)
        versions = [
            Version(int(v.version), tuple(sorted(named.get(int(v.version), []))), dict(v.tags), v.run_id) for v in found
        ]
        return sorted(versions, key=lambda version: version.number, reverse=True)

    def find(self, reference: str) -> Version | None:
        """Return a version by number or alias, None if there is none."""
        return next((v for v in self.versions() if reference in (str(v.number), *v.aliases)), None)

    def get(self, reference: str) -> Version:
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
            tags = self._client.get_registered_model(self.name).tags
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {key: value for key, value in tags.items() if not key.startswith(HISTORY)}

    def describe(self, version: int, text: str, tags: dict[str, str]) -> None:
        """Set the description that the registry shows, and tags."""
        self._client.update_model_version(self.name, str(version), text[:100_000])
        for key, value in tags.items():
            self._client.set_model_version_tag(self.name, str(version), key, value[:5000])

    def point(self, alias: str, version: int) -> None:
        """Point an alias at a version."""
        self._client.set_registered_model_alias(self.name, alias, str(version))

    def drop(self, alias: str) -> None:
        """Remove an alias."""
        self._client.delete_registered_model_alias(self.name, alias)

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
        self._client.set_registered_model_tag(
            self.name, f"{HISTORY}{now:%Y%m%dT%H%M%S.%f}", json.dumps(event._asdict())
        )
        return event

    def history(self) -> list[Event]:
        """Return the changes of the champion, oldest first."""
        tags = self._client.get_registered_model(self.name).tags
        return [Event(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(HISTORY)]

    def deliver(self, address: str, secret: str, name: str) -> str:
        """Have the server deliver changes to an address; return what a first delivery met with, "" if it arrived."""
        if not self.is_server:
            raise UserError(f"{self.uri} is a database, and only an MLflow server delivers webhooks: sync polls it.")
        try:
            found = [webhook for webhook in self._client.list_webhooks(max_results=1000) if webhook.url == address]
            if found:
                webhook = self._client.update_webhook(
                    found[0].webhook_id, events=[*EVENTS], secret=secret, status="ACTIVE"
                )
            else:
                webhook = self._client.create_webhook(name, address, [*EVENTS], secret=secret)
        except MlflowException as error:
            raise UserError(_undeliverable(self.uri, error)) from error
        try:
            result = self._client.test_webhook(webhook.webhook_id)
        except MlflowException as error:  # it takes longer than this side waits
            return _reason(error)
        said = result.error_message or f"{result.response_status} {result.response_body}"
        return "" if result.success else _phrase(said) or said

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
                reason = failures[-1].partition(": '")[0]
                raise UserError(f"Version {version} could not be fetched from {self.uri}: {reason}") from error
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
    with explained(tracking_uri):
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        if tracking_uri.startswith("http"):
            requests.get(f"{tracking_uri.rstrip('/')}/health", timeout=10)
        registry = Registry(tracking_uri, model_name)
        registry._client.search_experiments(max_results=1)
        return registry


@contextmanager
def explained(tracking_uri: str) -> Iterator[None]:
    """Turn what MLflow raises into one sentence with the address, what happened and the cure."""
    try:
        yield
    except (MlflowException, requests.exceptions.RequestException) as error:
        raise UserError(_explain(tracking_uri, error)) from error


def _explain(uri: str, error: Exception) -> str:
    text = str(error)
    status = getattr(error, "get_http_status_code", lambda: 0)() if isinstance(error, MlflowException) else 0
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if "Invalid Host header" in text:
        return (
            f"{uri} refuses its own host name: start that MLflow server with --allowed-hosts {urlsplit(uri).hostname}."
        )
    if "error code 401" in text or status == 401:
        given = f"user {user!r} and the password given" if user else "a call without a user"
        return f"{uri} does not accept {given}: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in .env."
    if "error code 403" in text or status == 403:
        return f"{uri} forbids this to {user or 'callers without a user'}: ask its administrator for EDIT permission."
    if isinstance(error, requests.exceptions.RequestException) or "API request to" in text:
        return (
            f"No MLflow server answers at {uri} ({_reason(error)}). Start it, or correct MLFLOW_TRACKING_URI in the "
            "environment or .env; without it, a database in the project folder is used."
        )
    return f"MLflow at {uri}: {text.splitlines()[0] if text else type(error).__name__}"


def _undeliverable(uri: str, error: MlflowException) -> str:
    text = _explain(uri, error)
    if " forbids " in text:
        return f"{uri} has its administrators register webhooks: ask one, or act as one (MLFLOW_TRACKING_USERNAME)."
    needed = {
        "500 error responses": "a lasting MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY: it cannot read its webhooks",
        "Invalid webhook URL scheme": "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https, or an https address",
        "non-public IP address": "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true, or a public address",
    }
    for phrase, setting in needed.items():
        if phrase in str(error):
            return f"The MLflow server at {uri} needs {setting}."
    return text


def _reason(error: BaseException) -> str:
    return _phrase(str(error)) or type(error).__name__


def _phrase(text: str) -> str:
    """Return what of a long message says why a server did not answer."""
    phrases = ("Connection refused", "Name or service not known", "nodename nor servname", "timed out")
    return next((phrase.lower() for phrase in phrases if phrase in text), "")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's chatter and its advice on matters that the contract settles off the screen; errors still raise."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def who() -> str:
    """Return who is acting: the MLflow user where there is one, else this machine's."""
    return os.environ.get("MLFLOW_TRACKING_USERNAME") or f"{getpass.getuser()}@{socket.gethostname()}"


def authorization() -> str:
    """Return the Authorization header that this user's calls to MLflow have, "" if they have none."""
    user = read_mlflow_creds()
    if user.username and user.password:
        return "Basic " + base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return f"Bearer {token}" if token else ""


def signature(contract: Contract) -> ModelSignature:
    """Return the MLflow signature of a contract; numbers are double there, since MLflow refuses to narrow."""
    return ModelSignature(
        inputs=Schema([_spec(column) for column in contract.row]),
        outputs=Schema([_spec(column) for column in contract.prediction]),
    )


def _spec(column: Column) -> ColSpec:
    # Whole numbers and truth values that may be missing are double too: only that type has a missing value.
    kind = "float" if column.nullable and column.kind != "category" else column.kind
    types = {"float": DataType.double, "int": DataType.long, "bool": DataType.boolean, "category": DataType.string}
    mlflow_type = Array(DataType.double) if kind == "vector" else types[kind]
    return ColSpec(mlflow_type, column.name, required=column.required)


def _example(version: artifact.Artifact) -> pd.DataFrame:
    """Return the example rows as a caller of `mlflow.pyfunc` would give them."""
    frame = pd.DataFrame(version.example.rows)
    for column in version.contract.row:
        if _spec(column).type == DataType.double:
            frame[column.name] = frame[column.name].astype("float64")
    return frame


def local_server(database: str, artifacts: Path, port: int) -> int:
    """Run an MLflow server over a database until it is interrupted, and return its exit code."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--workers", "1"]
    command += ["--artifacts-destination", artifacts.as_uri(), "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    try:
        return subprocess.call(command, env=environment)
    except KeyboardInterrupt:
        return 0
