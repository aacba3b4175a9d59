"""What the tests share: a place of their own, one training, and ways to make rows and versions.

Nothing here or in the tests knows the columns of this project: rows come from `data.load()` and from the contract, so
the tests hold for whatever model the four files of `model/` describe.
"""

import importlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from titanic_survival.toolkit.contract.columns import Columns, as_records, json_values
from titanic_survival.toolkit.contract.json_rows import RowParser

# Before OpenMP is loaded, which reads it once: threads on busy cores wait for each other, ten times longer.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import requests
from titanic_survival import config, model
from titanic_survival.model import data, schema
from titanic_survival.toolkit.batch import job
from titanic_survival.toolkit.batch.scoring import Scorer
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.monitoring.prediction_ids import IdGenerator
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.version import artifact
from titanic_survival.toolkit.version.contents import Contents
from titanic_survival.toolkit.version.reference_profile import Profile
from titanic_survival.toolkit.version.runtime import PythonRuntime

#: What would carry a developer's own servers and settings into the tests, beside the variables of `Settings`.
FOREIGN = ("DEBUG", "MLFLOW_TRACKING", "MLFLOW_REGISTRY", "MLFLOW_EXPERIMENT", "MLFLOW_RUN", "GITHUB_", "GITLAB_")
ROWS = 100


def pytest_configure(config: pytest.Config) -> None:
    """Have the service count as it does in production; Prometheus' client decides that when it is imported."""
    folder = tempfile.TemporaryDirectory(prefix="metrics-")
    config.add_cleanup(folder.cleanup)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder.name


@pytest.fixture(scope="session", autouse=True)
def isolated() -> Iterator[None]:
    """Keep the developer's environment and `.env` away."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower() in config.Settings.model_fields or name.startswith(FOREIGN):
                patch.delenv(name)
        patch.setattr(config, "load_dotenv", lambda path: None)
        yield


@pytest.fixture(scope="session")
def trained(isolated: None, tmp_path_factory: pytest.TempPathFactory) -> config.Settings:
    """Return the settings of a project in which one version was trained; its store holds and releases that version."""
    # Here, and not above: a test that needs no training should not wait for MLflow to be imported.
    from titanic_survival import train
    from titanic_survival.toolkit.registry.client import connect

    home = tmp_path_factory.mktemp("trained")
    settings = config.Settings(mlflow_tracking_uri=f"sqlite:///{home / 'mlflow.db'}", store=home / "store")
    number = train.run(settings)
    registry, store = connect(settings.mlflow_tracking_uri, settings.model_name), Store(settings.store)
    store.pull(registry.get(str(number)), registry.download)
    store.write(Release.now(settings.model_name, number, {number: ("challenger", "champion")}))
    return settings


@pytest.fixture(scope="session")
def copied(trained: config.Settings) -> Callable[[Path], config.Settings]:
    """Return a function that copies registry and store to a folder, so that a test may change them."""

    def copy(folder: Path) -> config.Settings:
        uri = copy_database(trained.mlflow_tracking_uri, folder)
        shutil.copytree(trained.store, folder / "store")
        return trained.model_copy(update={"mlflow_tracking_uri": uri, "store": folder / "store"})

    return copy


def copy_database(uri: str, folder: Path) -> str:
    """Copy a registry's database to a folder, and return the URI of the copy."""
    database = folder / "mlflow.db"
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as source, sqlite3.connect(database) as target:
        source.backup(target)
    return f"sqlite:///{database}"


@pytest.fixture(scope="session")
def new_registry(isolated: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Return a function that puts an empty registry into a folder; MLflow takes a second to make the tables of one."""
    from titanic_survival.toolkit.registry.client import connect

    empty = f"sqlite:///{tmp_path_factory.mktemp('empty') / 'mlflow.db'}"
    connect(empty, config.Settings().model_name)
    return lambda folder: copy_database(empty, folder)


@pytest.fixture
def project(copied: Callable[[Path], config.Settings], tmp_path: Path) -> config.Settings:
    """Return the settings of a copy of the trained project, which the test may change."""
    return copied(tmp_path)


@pytest.fixture
def versions(project: config.Settings) -> Callable[[int], Any]:
    """Return a function that registers version 1 again and again, and returns the registry of so many versions."""

    def versions(count: int) -> Any:
        from titanic_survival.toolkit.registry.client import connect

        registry = connect(project.mlflow_tracking_uri, project.model_name)
        first = registry.client.get_model_version(project.model_name, "1")
        for _ in range(count - 1):
            registry.client.create_model_version(project.model_name, first.source, tags=first.tags)
        return registry

    return versions


@pytest.fixture(scope="session")
def version(trained: config.Settings) -> artifact.Artifact:
    """Return the trained version."""
    return Store(trained.store).load(1)


@pytest.fixture(scope="session")
def contract() -> Contract:
    """Return the contract of this project."""
    return derive(schema.Row, schema.Prediction)


@pytest.fixture(scope="session")
def rows(contract: Contract) -> list[dict[str, Any]]:
    """Return rows of the data as a caller of the service would send them."""
    columns, _ = dataframes.check_features(data.load().head(ROWS), contract)
    values = {field.name: json_values(columns[field.name], field) for field in contract.row}
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


@pytest.fixture(scope="session")
def say(version: artifact.Artifact) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """Return what the runtime itself says of rows; those scored together may differ in the last digit from others."""

    def say(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        _, columns = RowParser(version.contract).parse(json.dumps(rows).encode())
        return as_records(version.runtime.score(columns), version.contract)

    return say


@pytest.fixture(scope="session")
def expected(say: Callable[..., list[dict[str, Any]]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the runtime says of `rows`."""
    return say(rows)


@pytest.fixture(scope="session")
def score_files() -> Callable[..., job.Result]:
    """Return a function that scores files with a version of some number."""

    def score(version: artifact.Artifact, number: int, source: Any, output: Any, **options: Any) -> job.Result:
        progress = options.pop("progress", lambda rows, share: None)
        scorer = Scorer(version, number, "the version's digest", datetime.now(UTC))
        return job.run(job.Job(str(source), str(output), scorer, **options), progress)

    return score


@pytest.fixture(scope="session")
def save_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., artifact.Artifact]:
    """Return a function that makes a version of a schema and a hand-written model in a folder that does not exist.

    `package` is the package, or the module, of the model.
    """
    lock = tmp_path_factory.mktemp("lock") / "lock"
    lock.touch()

    def save_in(
        folder: Path, row: Any, prediction: Any, estimator: Any, examples: list[dict[str, Any]], package: Any = model
    ) -> Any:
        contract = derive(row, prediction)
        _, columns = RowParser(contract).parse(json.dumps(examples).encode())
        predictions = PythonRuntime(estimator, contract).score(columns)
        label = predictions[contract.label.name]
        contents = Contents(
            contract=contract,
            model=estimator,
            onnx=None,
            example=artifact.Example(rows=examples, predictions=as_records(predictions, contract)),
            background=columns,
            profile=Profile.of(contract, training=columns, holdout=columns, predictions=predictions, label=label),
            details={"trained": "", "commit": "", "runtime": "python", "runtime_note": "", "metrics": {}, "data": {}},
            card="",
            lock=lock,
        )
        return contents.save(folder, package)

    return save_in


@pytest.fixture
def save(save_in: Callable[..., artifact.Artifact], tmp_path: Path) -> Callable[..., artifact.Artifact]:
    """Return a function that makes a version of a schema and a hand-written model in the test's folder."""

    def save(row: Any, prediction: Any, estimator: Any, examples: list[dict[str, Any]], name: str = "version") -> Any:
        return save_in(tmp_path / name, row, prediction, estimator, examples)

    return save


class Logged(NamedTuple):
    """Rows that were logged: their prediction ids, and what was predicted."""

    ids: list[str]
    predictions: Columns


@pytest.fixture(scope="session")
def write_log() -> Callable[..., Logged]:
    """Return a function that logs rows as the service does, in a file of their own.

    `time` is that of the last row; the others are evenly spread over the hours before.
    """
    # Here, since it imports the client of Prometheus.
    from titanic_survival.toolkit.monitoring.recorder import Block, _parts, log_line

    def write(
        folder: Path,
        version: artifact.Artifact,
        columns: Columns,
        number: int = 1,
        *,
        time: datetime | None = None,
        hours: float = 1,
        shadow_of: Logged | None = None,
        key: str | None = None,
    ) -> Logged:
        predictions = version.runtime.score(columns)
        rows = len(next(iter(predictions.values())))
        fields = version.contract.labels or version.contract.prediction[:1]
        ids = (
            shadow_of.ids if shadow_of else IdGenerator(config.Settings().model_name, number, *fields).make(predictions)
        )
        last = np.datetime64((time or datetime.now(UTC)).replace(tzinfo=None), "us")
        times = last - (np.linspace(hours, 0, rows) * 3.6e9).astype("timedelta64[us]")
        counters: Any = SimpleNamespace(number=number, contract=version.contract)
        block = Block(counters, bool(shadow_of), times, ids, [key], np.zeros(rows, int), columns, predictions)
        folder.mkdir(parents=True, exist_ok=True)
        count = len(list(folder.glob("predictions-*")))
        (folder / f"predictions-20260101T000000-1-{count}.jsonl").write_bytes(b"".join(map(log_line, _parts(block))))
        return Logged(ids, predictions)

    return write


@pytest.fixture(scope="session")
def write_labels() -> Callable[..., None]:
    """Return a function that logs labels by prediction id as `POST /feedback` does."""

    def write(folder: Path, name: str, ids: Sequence[str], values: Sequence[Any], time: datetime | None = None) -> None:
        now = (time or datetime.now(UTC)).isoformat()
        lines = [json.dumps({"time": now, "version": 1, "id": i, name: v}) for i, v in zip(ids, values, strict=True)]
        count = len(list(folder.glob("feedback-*")))
        (folder / f"feedback-20260101T000000-1-{count}.jsonl").write_text("".join(f"{line}\n" for line in lines))

    return write


@pytest.fixture(scope="session")
def service_with() -> Callable[..., AbstractContextManager[Any]]:
    """Return a context manager that imports the service's module anew, as it is with some settings."""
    from prometheus_client import REGISTRY

    @contextmanager
    def service_with(**settings: Any) -> Iterator[Any]:
        name = f"{config.PACKAGE}.service"
        sys.modules.pop(name, None)
        with pytest.MonkeyPatch.context() as patch:
            for setting, value in settings.items():
                patch.setenv(setting, str(value))
            module = importlib.import_module(name)
        yield module
        # BentoML registers its metrics with each application that it makes; a second time is an error.
        for collector, (first, *_) in list(REGISTRY._collector_to_names.items()):
            if first.startswith("bentoml"):
                REGISTRY.unregister(collector)

    return service_with


@pytest.fixture(scope="session")
def served(trained: config.Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that serves two versions: 1, frozen, and 2, the champion."""
    root = tmp_path_factory.mktemp("served")
    for number in (1, 2):
        shutil.copytree(Store(trained.store).path(1), Store(root).path(number))
    Store(root).write(Release.now(trained.model_name, 2, {1: (), 2: ("challenger", "champion")}))
    return root


class Keys(NamedTuple):
    """The files of a pair of keys on an elliptic curve."""

    private: Path
    public: Path


@pytest.fixture
def keys(tmp_path: Path) -> Callable[..., Keys]:
    """Return a function that makes a pair of keys."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def keys(name: str = "key", password: str = "", curve: Any = None) -> Keys:
        key = ec.generate_private_key(curve or ec.SECP256R1())
        pair = Keys(tmp_path / f"{name}.pem", tmp_path / f"{name}.pub")
        encryption: Any = serialization.NoEncryption()
        if password:
            encryption = serialization.BestAvailableEncryption(password.encode())
        pem = serialization.Encoding.PEM
        pair.private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption))
        pair.public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
        return pair

    return keys


@pytest.fixture
def sigstore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a Sigstore, and be a CI job of which its identity provider says who it is."""
    from sigstore_stand_in import SigstoreStandIn

    stand_in = SigstoreStandIn(tmp_path)
    for name, value in stand_in.environment().items():
        monkeypatch.setenv(name, value)
    yield stand_in
    stand_in.close()


class Guarded(NamedTuple):
    """An MLflow server that requires credentials, and gives a user no permission that nobody has granted."""

    url: str
    folder: Path
    admin: tuple[str, str] = ("admin", "correct horse battery")

    def user(self, name: str) -> tuple[str, str]:
        """Create a user without any permission, and return name and password."""
        user = name, f"a long password of {name}"
        body = {"username": name, "password": user[1]}
        requests.post(f"{self.url}/api/2.0/mlflow/users/create", json=body, auth=self.admin).raise_for_status()
        return user

    def grant(self, user: str, kind: str, resource: str, permission: str) -> None:
        """Grant a user a permission on a "registered_model" by name, or on an "experiment" by id."""
        body = {"username": user, "resource_type": kind, "resource_id": resource, "permission": permission}
        answer = requests.post(f"{self.url}/api/3.0/mlflow/users/permissions/grant", json=body, auth=self.admin)
        assert answer.ok, answer.text


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Return a server of basic-auth with default_permission = NO_PERMISSIONS."""
    folder, port = tmp_path_factory.mktemp("guarded"), free_port()
    server = Guarded(f"http://127.0.0.1:{port}", folder)
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\n"
        f"database_uri = sqlite:///{folder}/users.db\n"
        "auth_cache_ttl_seconds = 60\n"
        f"admin_username = {server.admin[0]}\nadmin_password = {server.admin[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/files"]
    env = os.environ | {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only for this test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_AUTH_ADMIN_PASSWORD": server.admin[1],
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(
            [*command, "--app-name", "basic-auth"], cwd=folder, env=env, stdout=log, stderr=log
        ) as process,
    ):
        try:
            for _ in range(600):
                try:
                    if requests.get(f"{server.url}/health", timeout=1).ok:
                        break
                except requests.RequestException:
                    assert process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.1)
            yield server
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[str, str]], None]:
    """Return a function that makes a user of an MLflow server the one whose credentials this process sends."""

    def become(user: tuple[str, str]) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user[0])
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", user[1])

    return become
