"""What the tests share: a registry of their own, one training, and the service over the version that it made.

No test names a field of your rows: rows and expected predictions come from the trained version, which keeps a few
hold-out rows as its example. So the tests hold when you rewrite the files of `model/`; add your own beside them.
"""

import os
from collections.abc import Iterator
from typing import Any

# Before OpenMP is loaded, which reads it once: its threads slow each other down where the cores are busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from starlette.testclient import TestClient

from {{ cookiecutter.package_name }} import config, train
from {{ cookiecutter.package_name }}.model import data, schema
from {{ cookiecutter.package_name }}.toolkit.contract.derivation import derive
from {{ cookiecutter.package_name }}.toolkit.contract.schema import Contract
from {{ cookiecutter.package_name }}.toolkit.release.reconcile import pull_release
from {{ cookiecutter.package_name }}.toolkit.release.store import Store
from {{ cookiecutter.package_name }}.toolkit.training.labels import with_labels
from {{ cookiecutter.package_name }}.toolkit.version.artifact import Artifact

Rows = list[dict[str, Any]]


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[config.Settings]:
    """Return settings that keep everything in a temporary folder; yours, and those in `.env`, are set aside."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower() in config.Settings.model_fields or name.startswith("MLFLOW_"):
                patch.delenv(name)
        patch.setattr(config, "load_dotenv", lambda path: None)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("APPROVAL_REQUIRED", "false")
        patch.setenv("STORE", str(folder / "store"))
        patch.setenv("LOG_FOLDER", str(folder / "log"))
        yield config.settings()


@pytest.fixture(scope="session")
def contract() -> Contract:
    """Return the contract that `model/schema.py` describes, with the labels that the data has."""
    return with_labels(data.load(), derive(schema.Row, schema.Prediction))


@pytest.fixture(scope="session")
def version(settings: config.Settings) -> Artifact:
    """Train as `make train` does, and return the version: the champion, since its gates have passed."""
    number, store = train.run(settings), Store(settings.store)
    assert pull_release(settings.mlflow_tracking_uri, settings.model_name, store).champion == number
    return store.load(number)


@pytest.fixture(scope="session")
def rows(version: Artifact) -> Rows:
    """Return hold-out rows as callers send them."""
    return version.example.rows


@pytest.fixture(scope="session")
def predictions(version: Artifact) -> Rows:
    """Return what was predicted for `rows` at the training."""
    return version.example.predictions


@pytest.fixture(scope="session")
def client(version: Artifact) -> Iterator[TestClient]:
    """Return a client of the service, which runs in this process."""
    # Here, and not above: the module reads its settings when it is imported.
    from {{ cookiecutter.package_name }} import service

    with TestClient(service.application()) as client:
        yield client
