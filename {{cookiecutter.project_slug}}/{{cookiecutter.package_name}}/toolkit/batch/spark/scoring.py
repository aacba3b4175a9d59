"""The parts of a job, scored by the executors of Spark: each writes the files of its parts, as one machine would."""

from __future__ import annotations

import pickle
import shutil
import socket
import tempfile
import time
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import chdir, closing, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import Accumulator, AccumulatorParam, SparkContext, SparkFiles
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ...common import console
from ...common.errors import UserError
from ...version.artifact import Artifact
from ..execution import Counts, Progress, score_part
from ..folder import Folder
from ..job import ScoreParts
from ..parts import Part
from ..scoring import Scorer
from .errors import explain, mark
from .session import LOCAL, spark_session

#: The package of this project, which the executors get with the job.
PACKAGE = Path(__file__).parents[3]
RESULT = "part long, counts binary"
POLL_SECONDS = 0.2
#: After so long without an executor that works, there is something to say.
IDLE_SECONDS = 30


class Task(NamedTuple):
    """What an executor needs to score parts, beside the files that were shipped to it."""

    parts: Sequence[Part]
    folder: Folder
    #: The fields of the scorer without the version itself, which is the shipped archive.
    scorer: dict[str, Any]
    archive: str
    #: The working directory, to which addresses of files may be relative.
    directory: str
    #: Processors of a task.
    threads: int
    #: Whether the executors are this machine.
    local: bool


class _Done(AccumulatorParam[dict[int, Counts]]):
    """Collects what was counted of each part as soon as it is done; a repeated part counts once."""

    def zero(self, value: dict[int, Counts]) -> dict[int, Counts]:
        return {}

    def addInPlace(self, value1: dict[int, Counts], value2: dict[int, Counts]) -> dict[int, Counts]:  # noqa: N802
        # Another dict: the one before is being read.
        return value1 | value2


def on_spark(master: str, name: str, progress: Progress) -> ScoreParts:
    """Return what scores parts on a master of Spark, whose session starts when there are parts to score."""

    def score(parts: Sequence[Part], folder: Folder, scorer: Scorer) -> Generator[Counts, None, None]:
        if parts:
            with spark_session(master, name) as session:
                yield from _score(session, parts, folder, scorer, progress)

    return score


def _score(
    session: SparkSession, parts: Sequence[Part], folder: Folder, scorer: Scorer, progress: Progress
) -> Generator[Counts, None, None]:
    """Score parts, and yield the counts of each when it is done; what still runs is cancelled if nobody waits."""
    by_rows = all(part.rows is not None for part in parts)
    weights = [float((part.rows if by_rows else part.size) or 0) for part in parts]
    done = 0.0
    with _shipped(session, scorer.artifact.folder) as archive:
        fields = {name: value for name, value in scorer._asdict().items() if name != "artifact"}
        threads = int(session.sparkContext.getConf().get("spark.task.cpus", "1"))
        local = LOCAL.fullmatch(session.sparkContext.master) is not None
        task = Task(parts, folder, fields, archive, str(Path.cwd()), threads, local)
        with closing(_results(session, task)) as results:
            for index, counts in results:
                _check_shared(parts[index], folder)
                done += weights[index]
                progress(counts.rows, done / (sum(weights) or 1.0))
                yield counts


def _check_shared(part: Part, folder: Folder) -> None:
    if folder.location.is_local and not folder.output(part).exists():
        raise UserError(
            f"{part.address} was scored, but {folder.output(part).address} is not on this machine: OUTPUT must be a "
            "folder that all machines of the cluster share, or in an object store."
        )


@contextmanager
def _shipped(session: SparkSession, version: Path) -> Iterator[str]:
    """Ship the version and this package to every executor, and yield the name of the version's folder there."""
    context = session.sparkContext
    with tempfile.TemporaryDirectory(prefix="spark-") as scratch:
        # Another name for each job: what an executor has under a name is not replaced.
        name = Path(scratch).name
        archive = shutil.make_archive(f"{scratch}/{name}-version", "zip", root_dir=version)
        context.addArchive(f"{archive}#{name}-version")
        code = Path(scratch) / f"{name}-code.zip"
        with zipfile.ZipFile(code, "w") as file:
            for path in (PACKAGE / "__init__.py", *sorted((PACKAGE / "toolkit").rglob("*.py"))):
                file.write(path, path.relative_to(PACKAGE.parent))
        context.addPyFile(str(code))
        yield f"{name}-version"


def _results(session: SparkSession, task: Task) -> Generator[tuple[int, Counts], None, None]:
    """Run a task for each part, and yield the position of each part and its counts as soon as it is done."""
    context, group = session.sparkContext, task.archive
    done = context.accumulator({}, _Done())
    seen: set[int] = set()
    idle = _Idle(context)

    def run() -> list[Any]:
        context.setJobGroup(group, f"score {len(task.parts)} parts", interruptOnCancel=True)
        # One row for each part, and one partition for each row.
        rows = session.range(0, len(task.parts), 1, len(task.parts))
        return rows.mapInArrow(_scoring(task, done), RESULT).collect()

    with ThreadPoolExecutor(1, "spark") as pool:
        job = pool.submit(run)
        try:
            while not wait([job], POLL_SECONDS).done:
                new = {index: counts for index, counts in done.value.items() if index not in seen}
                seen |= new.keys()
                yield from new.items()
                idle.check()
            for row in _collected(job, task.parts):
                if row.part not in seen:
                    yield row.part, pickle.loads(row.counts)
        finally:
            if not job.done():
                context.cancelJobGroup(group)


def _collected(job: Future[list[Any]], parts: Sequence[Part]) -> list[Any]:
    try:
        return job.result()
    except (PySparkException, Py4JError) as error:
        raise explain(error, parts) from error


class _Idle:
    """Says once that no executor works."""

    def __init__(self, context: SparkContext) -> None:
        self._tracker, self._master = context.statusTracker(), context.master
        self._since: float | None = time.monotonic()

    def check(self) -> None:
        stages = map(self._tracker.getStageInfo, self._tracker.getActiveStageIds())
        if any(stage and stage.numActiveTasks for stage in stages):
            self._since = None
        elif self._since and time.monotonic() - self._since > IDLE_SECONDS:
            self._since = None
            console.warn(
                f"{self._master} has given no executor for {IDLE_SECONDS} s: its workers may be away, or have fewer "
                "cores or less memory left than an executor needs (spark.executor.cores, spark.executor.memory)"
            )


def _scoring(task: Task, done: Accumulator[dict[int, Counts]]) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Return what runs on an executor."""

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                counts = _score_part(index, task)
                done.add({index: counts})
                yield pa.record_batch({"part": pa.array([index], pa.int64()), "counts": [pickle.dumps(counts)]})

    return score


def _score_part(index: int, task: Task) -> Counts:
    part = task.parts[index]
    try:
        # Before the working directory changes: what was shipped lies relative to it.
        scorer = Scorer(artifact=_loaded(task.archive), **task.scorer)
        with chdir(task.directory) if Path(task.directory).is_dir() else nullcontext():
            return score_part(part, task.folder, scorer, threads=task.threads)
    except Exception as error:
        place = "" if task.local else f" (on {socket.gethostname()})"
        raise mark(error, part, place) from error


@cache
def _loaded(archive: str) -> Artifact:
    """Return the shipped version, loaded and verified once in each Python process of an executor."""
    artifact = Artifact(Path(SparkFiles.get(archive)))
    artifact.verify()
    return artifact
