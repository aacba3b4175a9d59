"""A job: an input scored into an output; what was interrupted can go on, and nothing appears by halves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from ..common.errors import UserError, explain_os_errors
from ..common.scratch import alone
from . import columns_check, formats
from .database.connections import is_database
from .database.queries import Query, read_statement
from .database.tables import write_table
from .execution import Counts, Progress, Shares, Source, score_part, score_rows
from .folder import PARTS, REJECTS, Folder
from .locations import Location, locate
from .outputs import FileOutput, Output, TableOutput
from .parts import Part, check_kept, plan
from .scoring import Scorer

ScoreParts = Callable[[Sequence[Part], Folder, Scorer], Generator[Counts, None, None]]
"""Scores parts, in any order, and yields the counts of each that is done."""


class Job(NamedTuple):
    """What to score, into what, and how."""

    input: str
    output: str
    scorer: Scorer
    #: Unknown and missing columns are an error.
    strict: bool = False
    #: The share of rejected rows above which the job fails.
    max_rejects: float = 1.0
    #: Parts that an earlier job has done are not done again.
    resume: bool = False
    #: The statement of an input that is a database.
    query: str = ""
    #: The table of an output that is one, and the job's name there; "" for that of the input.
    table: str = ""
    name: str = ""


class Result(NamedTuple):
    """What a job has done."""

    counts: Counts
    #: The file, folder or table of rejected rows, if there are any.
    rejects: Location | str
    #: Columns that the schema does not know, and fields that have no column.
    warnings: tuple[str, ...] = ()
    #: Whether another job has written the same output meanwhile, which this one has replaced.
    replaced: bool = False
    #: Parts that an earlier job had done.
    resumed: int = 0
    #: Rows of an earlier run of the job that this one has replaced in a table.
    replaced_rows: int = 0


class TooManyRejectsError(UserError):
    """More rows were rejected than the job may reject."""


def run(job: Job, progress: Progress = lambda rows, share: None, score: ScoreParts | None = None) -> Result:
    """Score the input into the output; `score` replaces the loop over the parts of a folder."""
    query = Query(job.input, read_statement(job.query)) if is_database(job.input) else None
    parts = [] if query else plan(job.input)
    sources: Sequence[Source] = [query] if query else parts
    if is_database(job.output):
        return _into_table(job, sources, query, progress)
    target = locate(job.output)
    if folder := as_folder(target):
        if query:
            raise UserError(f"{job.output}: the rows of a query go into one file, such as scores.parquet, or a table")
        check_kept(parts, folder.location)
        return _into_folder(job, parts, folder, progress, score)
    check_kept(parts, target, _rejects(target))
    return _into_file(job, sources, target, progress)


def _into_table(job: Job, sources: Sequence[Source], query: Query | None, progress: Progress) -> Result:
    warnings, schema = check(sources, job, alike=True)
    schemas = job.scorer.scored_schema(schema), job.scorer.rejected_schema(schema)
    name = job.name or job_name(job.input, query)
    with write_table(job.output, job.table, name, *schemas) as writer:
        counts = score_into(sources, TableOutput(writer), job, progress)
    return Result(counts, writer.rejects, warnings, replaced_rows=writer.replaced)


def job_name(address: str, query: Query | None) -> str:
    """Return the name of a job that got none: the same for the same input."""
    if query:
        return f"{query.address} {hashlib.sha256(query.statement.encode()).hexdigest()[:12]}"
    location = locate(address)
    return location.path if location.is_local else address


def as_folder(target: Location) -> Folder | None:
    """Return the folder that an output is: the name of one, or `folder/*.parquet`; None if it is a file."""
    format = formats.format_of(target.name)
    if format and target.name == f"*{format}":
        target = target.parent
        if not target.is_pattern:
            return Folder(target, format)
    if target.is_pattern:
        raise UserError(f"{target.address}: a pattern as OUTPUT is a folder with *.parquet or *.csv, as scores/*.csv")
    return None if format else Folder(target)


def _into_file(job: Job, parts: Sequence[Source], target: Location, progress: Progress) -> Result:
    warnings, schema = check(parts, job, alike=True)
    target.check_writable()
    rejects = _rejects(target)
    schemas = job.scorer.scored_schema(schema), job.scorer.rejected_schema(schema)
    place = Path(target.parent.path) if target.is_local else None
    with explain_os_errors(place), FileOutput(target, rejects, schemas) as output, _named(rejects):
        counts = score_into(parts, output, job, progress)
    return Result(counts, rejects, warnings, output.replaced)


def _rejects(target: Location) -> Location:
    return target.sibling(f"{formats.stem(target.name)}.rejects{formats.REJECTS}")


def _into_folder(
    job: Job, parts: Sequence[Part], folder: Folder, progress: Progress, score: ScoreParts | None
) -> Result:
    warnings, _ = check(parts, job, alike=False)
    folder.check(parts)
    rejects = folder.location.child(REJECTS)
    with explain_os_errors(folder.place), _alone(folder.location), _named(rejects):
        folder.begin({"input": job.input, "version": job.scorer.version, "started": job.scorer.time.isoformat()})
        done = {part: _done(part, folder, job) for part in parts}
        missing = [part for part in parts if done[part] is None]
        counts = Counts()
        for found in done.values():
            counts = counts.plus(found) if found else counts
        scoring = score(missing, folder, job.scorer) if score else _each(missing, folder, job.scorer, progress)
        with closing(scoring):
            for part_counts in scoring:
                counts = counts.plus(part_counts)
                _check_rejects(job, parts, counts)
        _check_rejects(job, parts, counts, done=True)
        folder.complete(parts, {"version": job.scorer.version, "digest": job.scorer.digest, **counts.as_json()})
    return Result(counts, rejects, warnings, resumed=len(parts) - len(missing))


def _done(part: Part, folder: Folder, job: Job) -> Counts | None:
    """Return the counts of a part that an earlier job has done, if this one goes on; None if it is to be done."""
    with suppress(ValueError):
        found = folder.done(part, job.scorer.digest) if job.resume else None
        return Counts.from_json(found) if found else None
    return None


def _each(parts: Sequence[Part], folder: Folder, scorer: Scorer, progress: Progress) -> Generator[Counts, None, None]:
    shares = Shares(parts, progress)
    for part in parts:
        yield score_part(part, folder, scorer, shares.of(part))


def score_into(sources: Sequence[Source], output: Output, job: Job, progress: Progress) -> Counts:
    """Score sources, one after the other, into one output, and commit it."""
    counts, shares = Counts(), Shares(sources, progress)
    try:
        for source in sources:
            told = shares.of(source)
            with source.open() as rows:
                for new, share in score_rows(source, rows, output, job.scorer):
                    counts = counts.plus(new)
                    _check_rejects(job, sources, counts)
                    told(new.rows, share)
            source.check_unchanged()
        _check_rejects(job, sources, counts, done=True)
    except TooManyRejectsError:
        output.commit(rejected_only=True)
        raise
    output.commit()
    return counts


def check(sources: Sequence[Source], job: Job, *, alike: bool) -> tuple[tuple[str, ...], pa.Schema]:
    """Return what there is to say about the columns, and those of the first source; `UserError` if one does not fit.

    Nothing is written before. With `alike`, all sources must have the same columns, since they have one output.
    """
    said: dict[str, None] = {}
    first: tuple[str, pa.Schema] | None = None
    for address, source in {source.address: source for source in sources}.items():
        with source.open() as rows:
            schema = rows.schema
        said |= dict.fromkeys(columns_check.check(schema, job.scorer.artifact.contract, address, strict=job.strict))
        first = first or (address, schema)
        if alike and not schema.equals(first[1]):
            raise UserError(
                f"{address} has other columns, or types, than {first[0]}: {_columns(schema)} instead of "
                f"{_columns(first[1])}. With a folder as OUTPUT, each file gets an output of its own"
            )
    assert first, "an input has at least one source"
    return tuple(said), first[1]


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def _check_rejects(job: Job, sources: Sequence[Source], counts: Counts, *, done: bool = False) -> None:
    """Raise `TooManyRejectsError` as soon as it is certain that too many rows are rejected."""
    known = [source.rows for source in sources if source.rows is not None]
    rows = counts.rows if done else sum(known) if len(known) == len(sources) else None
    # Not counts.rejected > job.max_rejects * rows: 0.29 * 100 is below 29.
    if rows and counts.rejected / rows > job.max_rejects:
        found = f"{counts.rejected} of {counts.rows} rows" + ("" if done else " so far")
        raise TooManyRejectsError(f"{found} were rejected, more than MAX_REJECTS={job.max_rejects:g} allows")


@contextmanager
def _named(rejects: Location) -> Iterator[None]:
    """Have the error about too many rejected rows name the place of the reasons."""
    try:
        yield
    except TooManyRejectsError as error:
        raise TooManyRejectsError(f"{error}; {rejects.address} has the reasons") from error


def _alone(location: Location) -> AbstractContextManager[None]:
    """Have no other job of this machine write to a folder meanwhile."""
    if not location.is_local:
        return nullcontext()
    states = Path(location.path) / PARTS  # the folder itself is locked while two files are published
    states.mkdir(parents=True, exist_ok=True)
    return alone(states, f"{location.address}: another job is writing there; wait for it to end")
