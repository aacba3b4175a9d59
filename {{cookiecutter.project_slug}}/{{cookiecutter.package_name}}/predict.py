"""Predict: score a file of rows with a registered version, and record it as an MLflow run."""

from __future__ import annotations

from pathlib import Path

from . import config
from .toolkit.batch import files
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.release.store import Store


def run(settings: config.Settings, source: Path, output: Path, reference: str) -> files.BatchResult:
    """Score `source` into `output`; rows that break the contract go to `<output>.rejects.csv` with their reasons."""
    _check_paths(source, output)
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri), registry.run("predict") as record:
        version = registry.get(reference)
        with console.step("pull") as step:
            store = Store(settings.store)
            store.pull(version.number, version.digest, registry.download)
            artifact = store.load(version.number)
            step.detail = f"{settings.model_name} version {version.number}"
        with console.step("score") as step:
            scored = files.score(artifact, version.number, source, output, step.progress)
            step.detail = f"{scored.rows - scored.rejected} of {scored.rows} rows"
        record.parameters({"input": source, "output": output, "version": version.number, "sha256": scored.sha256})
        record.metrics({"rows": scored.rows, "rejected": scored.rejected})
        record.tags({"version": str(version.number)})
    console.say(f"\nPredictions: {output}")
    if scored.rejected:
        console.say(f"Rejected:    {scored.rejects} ({scored.rejected} rows that break the contract, with the reasons)")
    console.say(f"Run:         {record.address}")
    return scored


def _check_paths(source: Path, output: Path) -> None:
    for path in (source, output):
        if path.suffix not in files.FORMATS:
            raise UserError(f"{path}: the name of a file of rows must end in {' or '.join(files.FORMATS)}")
    if not source.is_file():
        raise UserError(
            f"{source}: there is no such file. For example: make predict INPUT=rows.csv OUTPUT=predictions.csv"
        )
    if output.resolve() == source.resolve():
        raise UserError(f"{output} is both INPUT and OUTPUT; name another OUTPUT, so that the input is kept")
    if not output.parent.is_dir():
        raise UserError(f"{output}: the folder {output.parent} does not exist")
