"""Predict: score rows with a registered version, and record it as an MLflow run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import config
from .shared.trust import model_store
from .toolkit.batch import formats, job, recorded
from .toolkit.batch.database.connections import is_database, name_of
from .toolkit.batch.execution import Progress
from .toolkit.batch.locations import Location, locate
from .toolkit.common import console, progress
from .toolkit.common.errors import UserError
from .toolkit.common.imports import uncollected
from .toolkit.common.termination import Terminated
from .toolkit.monitoring.batch_metrics import BatchMetrics
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.registry.runs import start_run

DATABASE = 'INPUT=postgresql://db.example.com/sales QUERY="select ..."; OUTPUT=postgresql://... TABLE=scores'
#: Above this share of rejected rows, the output is hardly what somebody wants.
MANY_REJECTS = 0.5
EXAMPLE = "For example: make predict INPUT=rows.csv OUTPUT=predictions.csv"


def run(settings: config.Settings, source: str, output: str, reference: str, master: str = "") -> job.Result:
    """Score `source` into `output`; rejected rows go to `<output>.rejects.csv` with their reasons.

    With the address of a master, Spark does it.
    """
    if master:
        settings = settings.model_copy(update={"engine": "spark", "spark_master": master})
    _check_addresses(settings, source, output)
    _check_engine(settings, source, output)
    if settings.resume and not _has_parts(output):
        console.warn(f"RESUME=1 changes nothing: {_named(output)} appears as a whole. A folder can be gone on with.")
    metrics = BatchMetrics(settings.metrics_job or settings.model_name, settings.pushgateway, settings.metrics_file)
    with uncollected():  # MLflow imports what a registry needs when it is connected
        registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri), start_run(registry, "predict") as tracking:
        scorer = recorded.pull(registry, model_store(settings), reference)
        limits = settings.strict, settings.max_rejects, settings.resume
        work = job.Job(source, output, scorer, *limits, settings.query, settings.table, settings.batch_job)
        with progress.step("score", "rows") as step, _told_when_stopped(output):
            result, report = recorded.run(tracking, work, step.update, _engine(settings, step.update))
            step.detail = f"{report.rows - report.rejected} of {report.rows} rows"
        if file := _local_file(source):
            tracking.log_parameters({"sha256": _sha256(file)})
    for warning in metrics.publish(report):
        console.warn(warning)
    _report(source, output, result, tracking.address)
    return result


@contextmanager
def _told_when_stopped(output: str) -> Iterator[None]:
    """Say what is there if the job is stopped by a signal."""
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        if _has_parts(output):
            text = f"Stopped: {output} has the files that are complete; RESUME=1 goes on with the others."
        else:
            text = f"Stopped: nothing was written to {_named(output)}."
        console.say(text, "yellow")
        raise


def _has_parts(output: str) -> bool:
    """Whether an output is a folder, in which each part appears when it is done."""
    return not is_database(output) and job.as_folder(locate(output)) is not None


def _named(address: str) -> str:
    """Return an address without the secrets of a database's."""
    return name_of(address) if is_database(address) else address


def _local_file(source: str) -> Location | None:
    file = None if is_database(source) else locate(source)
    return file if file and file.is_local and not file.is_folder() and not file.is_pattern else None


def _check_engine(settings: config.Settings, source: str, output: str) -> None:
    if settings.engine != "spark":
        return
    if is_database(source) or is_database(output):
        raise UserError("ENGINE=spark scores files, not databases: unset it, or score files that the database exports")
    if not _has_parts(output):
        raise UserError(
            f"{output} is a file, and with ENGINE=spark each part of the input gets a file of its own: set OUTPUT to a "
            "folder (scores/), or to one with a format (scores/*.parquet)"
        )


def _engine(settings: config.Settings, update: Progress) -> job.ScoreParts | None:
    """Return what scores the parts of a job; None for the loop over them on this machine."""
    if settings.engine == "local":
        return None
    from .toolkit.batch.spark.scoring import on_spark

    return on_spark(settings.spark_master, f"predict {settings.model_name}", update)


def _sha256(file: Location) -> str:
    with Path(file.path).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _report(source: str, output: str, result: job.Result, address: str) -> None:
    source, output = _named(source), _named(output)
    for warning in result.warnings:
        console.warn(f"{source}: {warning}")
    if result.replaced_rows:
        console.say(f"{result.replaced_rows} rows of an earlier run of this job were replaced.")
    if result.resumed:
        console.say(f"Done before: {result.resumed} of the files.")
    console.say(f"\nPredictions: {output}")
    if result.replaced:
        console.say(f"Another run has written {output} meanwhile; this run has replaced its predictions.", "yellow")
    where = result.rejects.address if isinstance(result.rejects, Location) else result.rejects
    if rejected := result.counts.rejected:
        console.say(f"Rejected:    {where} ({rejected} invalid rows, each with the reasons)")
        if rejected > result.counts.rows * MANY_REJECTS:
            console.warn(
                f"{rejected} of {result.counts.rows} rows were rejected. With MAX_REJECTS=0.1 that is an error."
            )
    console.say(f"Run:         {address}")


def _check_addresses(settings: config.Settings, source: str, output: str) -> None:
    """Raise `UserError` for what can be seen to be wrong before a version is pulled."""
    for name, value, address in (("QUERY", settings.query, source), ("TABLE", settings.table, output)):
        if value and not is_database(address):
            raise UserError(
                f"{name}={value} needs a database as {'INPUT' if name == 'QUERY' else 'OUTPUT'}: {DATABASE}"
            )
        if not value and is_database(address):
            raise UserError(f"{name_of(address)}: {name} is missing. For example: {DATABASE}")
    for name, address in (("INPUT", source), ("OUTPUT", output)):
        if not address:  # what the Makefile gives where nothing is set
            raise UserError(f"{name} is missing. {EXAMPLE}")
    if is_database(source) or is_database(output):
        return
    given, wanted = locate(source), locate(output)
    endings = f"{', '.join(formats.FORMATS[:-1])} or {formats.FORMATS[-1]}"
    if "." in given.name and not formats.format_of(given.name) and not given.is_folder():
        raise UserError(f"{source}: the name of a file of rows must end in {endings}")
    if not given.is_pattern and not given.exists():
        raise UserError(f"{source}: there is no such file or folder. {EXAMPLE}")
    folder = job.as_folder(wanted)
    is_file = not wanted.is_folder() and not output.endswith("/")
    if folder and not folder.format and is_file and re.search(r"\.\w+$", wanted.name):
        raise UserError(f"{output}: the name of a file of rows must end in {endings}, that of a folder in /")
    place = (folder.location if folder else wanted).real
    if place == given.real or (given.is_folder() and f"{place}/".startswith(f"{given.real}/")):
        raise UserError(
            f"{output} is {'both INPUT and OUTPUT' if place == given.real else 'in INPUT'}; choose another "
            "OUTPUT, so that the input is kept"
        )
    if folder and folder.location.exists() and not folder.location.is_folder():
        raise UserError(f"{output} is a file, and its name that of a folder; choose another OUTPUT")
    if not folder and wanted.is_folder():
        raise UserError(f"{output} is a folder, and its name that of a file; choose another OUTPUT")
    parent = wanted.parent if not folder else folder.location.parent
    if wanted.is_local and not parent.is_folder():
        raise UserError(
            f"{output}: the folder {parent.address} does not exist; make it first, or choose another OUTPUT"
        )
