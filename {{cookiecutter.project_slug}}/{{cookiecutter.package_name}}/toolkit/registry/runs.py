"""Tracking runs: parameters, metrics, tags, files and data sets of one run."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.types import Schema

from ..common.errors import UserError
from ..common.redaction import redact
from ..common.termination import Terminated
from ..contract.schema import Contract
from .client import Registry
from .errors import quiet
from .local_server import artifact_folder
from .packaging import signature


class Run:
    """A tracking run in progress."""

    def __init__(self, run: Any) -> None:
        self.id: str = run.info.run_id
        self._experiment: str = run.info.experiment_id

    @property
    def address(self) -> str:
        """Where to look at the run: a URL for a server, the path in MLflow's interface for a database."""
        return _address(self._experiment, self.id)

    def log_parameters(self, values: dict[str, Any]) -> None:
        """Record parameters; long values are cut to what MLflow accepts."""
        mlflow.log_params({key: redact(str(value))[:6000] for key, value in values.items()})

    def log_metrics(self, values: dict[str, float]) -> None:
        """Record metrics."""
        mlflow.log_metrics(values)

    def set_tags(self, values: dict[str, str]) -> None:
        """Set tags."""
        mlflow.set_tags({key: redact(value) for key, value in values.items()})

    def log_files(self, folder: Path, under: str) -> None:
        """Record the files of a folder."""
        mlflow.log_artifacts(str(folder), artifact_path=under)

    def log_dataset(self, name: str, digest: str, rows: int, contract: Contract) -> None:
        """Record which rows were used: their number, their digest, and the columns of the contract, labels included."""
        columns = signature(contract)
        with quiet():
            # MLflow would infer the columns from all values, and its own digest has the first 10,000 rows only.
            dataset = _Rows(
                CodeDatasetSource({key: redact(value) for key, value in resolve_tags().items()}),
                name=name,
                digest=digest,
                schema=Schema([*columns.inputs, *columns.outputs.inputs[: contract.label_count]]),
            )
            dataset.rows = rows
            mlflow.log_input(dataset, context="training")


class _Rows(MetaDataset):
    """A data set of which MLflow keeps the description."""

    rows = 0

    @property
    def profile(self) -> dict[str, int]:
        """The size, as MLflow describes that of DataFrames."""
        return {"num_rows": self.rows}

    def to_dict(self) -> dict[str, str]:
        """Return all that MLflow records."""
        return super().to_dict() | {"profile": json.dumps(self.profile)}


@contextmanager
def start_run(registry: Registry, kind: str, name: str = "", run_id: str = "") -> Iterator[Run]:
    """Start a run of a kind ("train", "predict"), within another one as its child.

    With an id, that run goes on, if it still exists. The status is FAILED if the block raises, KILLED after a signal.
    """
    # MLflow's own tags: the remote of a clone often has a token in it.
    tags = {key: redact(value) for key, value in resolve_tags({"kind": kind}).items()}
    nested, experiment = mlflow.active_run() is not None, _experiment(registry)
    known = _resumed(registry, run_id) if run_id else None
    with mlflow.start_run(known, experiment_id=experiment, run_name=name or kind, tags=tags, nested=nested) as run:
        try:
            yield Run(run)
        except (KeyboardInterrupt, Terminated):
            mlflow.end_run("KILLED")
            raise


def _resumed(registry: Registry, run_id: str) -> str | None:
    """Return the id of a run that goes on, None if it was deleted; children of it that still run are ended."""
    try:
        run = registry.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    if run.info.lifecycle_stage == "deleted":
        return None
    for child in registry.client.search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.status = 'RUNNING'"
    ):
        registry.client.set_terminated(child.info.run_id, "KILLED")
    return run_id


def address(registry: Registry, run_id: str) -> str:
    """Return where to look at a run."""
    return _address(registry.client.get_run(run_id).info.experiment_id, run_id)


def download(run_id: str, path: str, to: Path) -> None:
    """Download a folder of a run's files to `to`, which must not exist; nothing if the run has no such folder."""
    client = mlflow.MlflowClient()
    if not client.list_artifacts(run_id, path):
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent) as scratch, quiet():
        shutil.copytree(client.download_artifacts(run_id, path, scratch), to)


def _address(experiment: str, run_id: str) -> str:
    uri = redact(mlflow.get_tracking_uri()).rstrip("/")
    path = f"#/experiments/{experiment}/runs/{run_id}"
    return f"{uri}/{path}" if uri.startswith("http") else f"{path} (make mlflow shows it)"


def _experiment(registry: Registry) -> str:
    """Return the id of the model's experiment, which is created if need be."""
    found = registry.client.get_experiment_by_name(registry.name)
    if found:
        if found.lifecycle_stage == "deleted":
            raise UserError(
                f"The MLflow experiment {registry.name!r} was deleted. Restore it with "
                f"'mlflow experiments restore -x {found.experiment_id}', or set MODEL_NAME to another name."
            )
        return str(found.experiment_id)
    folder = artifact_folder(registry.uri)
    return registry.client.create_experiment(registry.name, artifact_location=folder.as_uri() if folder else None)
