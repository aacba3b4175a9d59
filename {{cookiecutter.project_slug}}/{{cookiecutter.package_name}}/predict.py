"""Predict: score a file of rows with a registered version, and record it as an MLflow run."""

from __future__ import annotations

from pathlib import Path

from . import config
from .toolkit.batch import files
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.registry.runs import start_run
from .toolkit.release.store import Store


def run(settings: config.Settings, source: Path, output: Path, reference: str) -> files.BatchResult:
    """Score `source` into `output`; rejected rows go to `<output>.rejects.csv` with their reasons."""
    _check_paths(source, output)
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri), start_run(registry, "predict") as tracking:
        version = registry.get(reference)
        with console.step("pull") as step:
            store = Store(settings.store)
            store.pull(version.number, version.digest, registry.download)
            artifact = store.load(version.number)
            step.detail = f"{settings.model_name} version {version.number}"
        with console.step("score") as step:
            result = files.score(artifact, version.number, source, output, step.progress, strict=settings.strict)
            step.detail = f"{result.rows - result.rejected} of {result.rows} rows"
        tracking.log_parameters({"input": source, "output": output, "version": version.number, "sha256": result.sha256})
        tracking.log_metrics({"rows": result.rows, "rejected": result.rejected})
        tracking.set_tags({"version": str(version.number)})
    for warning in result.warnings:
        console.warn(f"{source}: {warning}")
    console.say(f"\nPredictions: {output}")
    if result.replaced:
        console.say(f"Another run has written {output} meanwhile; this run has replaced its predictions.", "yellow")
    if result.rejected:
        console.say(f"Rejected:    {result.rejects} ({result.rejected} invalid rows, each with the reasons)")
    console.say(f"Run:         {tracking.address}")
    return result


def _check_paths(source: Path, output: Path) -> None:
    for name, path in (("INPUT", source), ("OUTPUT", output)):
        if path == Path():  # what the Makefile gives where nothing is set
            raise UserError(f"{name} is missing. For example: make predict INPUT=rows.csv OUTPUT=predictions.csv")
    for path in (source, output):
        if path.suffix not in files.FORMATS:
            raise UserError(f"{path}: the name of a file of rows must end in {' or '.join(files.FORMATS)}")
    if not source.is_file():
        raise UserError(
            f"{source}: there is no such file. For example: make predict INPUT=rows.csv OUTPUT=predictions.csv"
        )
    if output.resolve() == source.resolve():
        raise UserError(f"{output} is both INPUT and OUTPUT; choose another OUTPUT, so that the input is kept")
    if output.is_dir():
        raise UserError(f"{output} is a folder; OUTPUT is the name of a file")
    if not output.parent.is_dir():
        raise UserError(f"{output}: the folder {output.parent} does not exist; make it first, or choose another OUTPUT")
