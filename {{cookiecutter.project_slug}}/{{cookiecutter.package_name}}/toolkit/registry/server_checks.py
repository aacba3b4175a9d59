"""Whether MLflow is as it should be: it answers, its clock and version fit, and this user may do what is needed."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import mlflow
import requests
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from ..common.errors import UserError
from ..common.findings import Finding, error, ok, warning
from ..common.names import CHAMPION, version_label
from .client import Registry, connect, find
from .connection import check_address
from .errors import describe, is_forbidden, mlflow_errors
from .identity import authorization
from .local_server import SQLITE

REQUEST_SECONDS = 10
#: Seconds by which clocks may differ: signed requests, of webhooks and of S3, are rejected some minutes apart.
CLOCK_WARNING, CLOCK_ERROR = 60, 300
#: A tag that no model has, and a folder with a file of one byte: removed again where this user may remove files.
ABSENT_TAG, PROBE_FOLDER, PROBE = "doctor.absent", "doctor", "probe.txt"


def check(uri: str, model: str) -> Iterator[Finding]:
    """Check the server or database at a tracking URI."""
    check_address(uri)
    if has_no_database(uri):
        yield ok(f"no database at {uri} yet; make train makes it")
        return
    registry = connect(uri, model)
    with mlflow_errors(uri):
        if registry.is_server:
            yield from _server(uri)
        elif uri.startswith(SQLITE) and not os.access(path := uri.removeprefix(SQLITE), os.W_OK):
            yield error(f"{path} cannot be written: let this user write it, or nothing can be trained or promoted")
        versions = registry.versions()
        if not versions:
            yield ok(f"{uri} has no version of {model} yet; make train makes one")
            return
        named = version_label(versions[0].number, versions[0].aliases)
        yield ok(f"{uri}, {len(versions)} version{'s' if len(versions) > 1 else ''} of {model}, the last {named}")
        if find(versions, CHAMPION) is None:
            promote = f"make promote VERSION={versions[0].number}"
            yield warning(f"no version of {model} is {CHAMPION}, so there is nothing to serve: {promote}")
        if registry.is_server:
            yield from _permission(registry)
    yield from _artifacts(registry)


def has_no_database(uri: str) -> bool:
    """Whether a tracking URI is that of an SQLite database that does not exist yet; to connect to it would make it."""
    return uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists()


def _server(uri: str) -> Iterator[Finding]:
    """Check version and clock of a server."""
    address = uri.rstrip("/")
    before = time.time()
    headers = {"Authorization": given} if (given := authorization()) else {}
    answer = requests.get(f"{address}/version", headers=headers, timeout=REQUEST_SECONDS)
    # A server writes whole seconds.
    now = (before + time.time()) / 2
    major = answer.text.partition(".")[0] if answer.ok else ""
    if major.isdigit() and int(major) < int(mlflow.__version__.partition(".")[0]):
        yield error(f"the server has MLflow {answer.text[:20]}, and this project {mlflow.__version__}: update it")
    if (date := answer.headers.get("Date")) is not None:
        skew = abs(now - parsedate_to_datetime(date).timestamp())
        if skew > CLOCK_WARNING:
            text = f"the clocks of the server and of this machine differ by {skew:.0f} s: set them (NTP)"
            yield error(text) if skew > CLOCK_ERROR else warning(text)


def _permission(registry: Registry) -> Iterator[Finding]:
    """Check that this user may change the model, by removing a tag that it does not have."""
    try:
        registry.client.delete_registered_model_tag(registry.name, ABSENT_TAG)
    except MlflowException as problem:
        if not is_forbidden(problem):
            raise
        text = describe(registry.uri, problem)
        yield warning(f"{text} Here versions can be served and used, but not trained or promoted.")


def _artifacts(registry: Registry) -> Iterator[Finding]:
    """Check that files can be written where runs keep theirs, by writing one."""
    experiment = registry.client.get_experiment_by_name(registry.name)
    if experiment is None:
        return
    place = f"{experiment.artifact_location.rstrip('/')}/{PROBE_FOLDER}"
    try:
        with mlflow_errors(registry.uri), tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / PROBE
            file.write_text("1")
            repository = get_artifact_repository(place)
            repository.log_artifact(str(file))
    except (UserError, OSError) as problem:
        forbidden = is_forbidden(problem.__cause__) if isinstance(problem.__cause__, Exception) else False
        yield warning(str(problem)) if forbidden else error(f"files cannot be written to {place}: {problem}")
        return
    with suppress(Exception):  # a user who may write files may not be one who removes any
        repository.delete_artifacts()
    yield ok(f"files can be written to {experiment.artifact_location}")


def check_webhook(uri: str, model: str, name: str) -> Iterator[Finding]:
    """Check that the server delivers changes to a webhook that `make sync` has registered under a name."""
    registry = connect(uri, model)
    if not registry.is_server:
        yield warning(f"WEBHOOK_SECRET is set, but {uri} is a database, which delivers nothing: sync polls it")
        return
    try:
        found = [webhook for webhook in registry.client.list_webhooks(max_results=1000) if webhook.name == name]
    except MlflowException as problem:
        if not is_forbidden(problem):
            raise UserError(describe(uri, problem)) from problem
        yield warning(f"{uri} shows webhooks to administrators alone: ask one whether {name} is registered")
        return
    if not found:
        yield warning("no webhook is registered, so sync polls: make sync ARGS='--register http://<its host>:<port>'")
    for webhook in found:
        register = f"make sync ARGS='--register {webhook.url}'"
        if str(webhook.status) != "ACTIVE":
            yield error(f"the webhook to {webhook.url} is disabled: {register}")
            continue
        try:
            result = registry.client.test_webhook(webhook.webhook_id)
            reason = "" if result.success else result.error_message or f"status {result.response_status}"
        except MlflowException as problem:
            reason = describe(uri, problem)
        if reason:
            yield error(f"MLflow cannot deliver to {webhook.url} ({reason}): make sync there, or {register}")
        else:
            yield ok(f"MLflow delivers to {webhook.url}")
