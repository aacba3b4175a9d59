"""A job by a version of the registry, and what its MLflow run records of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ..common import console
from ..monitoring.batch_metrics import JobReport
from ..registry.client import Registry
from ..registry.runs import Run
from ..release.store import Store
from . import job
from .database.connections import is_database, name_of
from .database.queries import read_statement
from .execution import Progress
from .scoring import Scorer


def pull(registry: Registry, store: Store, reference: str) -> Scorer:
    """Return what scores with a version, a number or an alias, of the registry."""
    version = registry.get(reference)
    with console.step("pull") as step:
        store.pull(version, registry.download)
        scorer = Scorer(store.load(version.number), version.number, version.digest, datetime.now(UTC))
        step.detail = f"{registry.name} version {version.number}"
    return scorer


def run(
    tracking: Run, work: job.Job, progress: Progress = lambda rows, share: None, score: job.ScoreParts | None = None
) -> tuple[job.Result, JobReport]:
    """Run a job and record it: its input and output, what it has counted, and how far that has drifted."""
    start, scorer = time.monotonic(), work.scorer
    tracking.log_parameters(_parameters(work) | {"version": scorer.version})
    tracking.set_tags({"version": str(scorer.version)})
    result = job.run(work, progress, score)
    counts, seconds = result.counts, time.monotonic() - start
    report = JobReport(
        scorer.version, scorer.artifact.profile, counts.rows, counts.rejected, seconds, time.time(), counts.bins
    )
    tracking.log_metrics(report.run_metrics())
    return result, report


def _parameters(work: job.Job) -> dict[str, object]:
    """Return what the run records of input and output; an address of a database has no credentials there."""
    given: dict[str, object] = {"input": work.input, "output": work.output}
    if is_database(work.input):
        given |= {"input": name_of(work.input), "query": read_statement(work.query)}
    if is_database(work.output):
        given |= {"output": name_of(work.output), "table": work.table}
    return given
