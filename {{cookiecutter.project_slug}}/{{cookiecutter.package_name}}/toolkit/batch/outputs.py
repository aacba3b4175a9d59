"""Where scored rows and rejected rows go: a pair of files, which appear when they are complete."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Protocol, Self

import pyarrow as pa

from ..common.file_state import file_state
from ..common.scratch import locked
from . import formats
from .database.tables import TableWriter
from .locations import Location, Pending, pending
from .scoring import ScoredBatch


class Output(Protocol):
    """Takes scored batches; they count once they are committed, and are gone if that does not happen."""

    #: Whether another job has written to the same place meanwhile, whose rows this one has replaced.
    replaced: bool

    def write(self, scored: ScoredBatch) -> None:
        """Take a batch."""
        ...

    def commit(self, *, rejected_only: bool = False) -> None:
        """Make all rows visible at once, or the rejected ones of a job that failed."""
        ...


class FileOutput:
    """A file of rows with predictions, and one of rejected rows, which there is only if there are any."""

    replaced = False

    def __init__(self, target: Location, rejects: Location, schemas: tuple[pa.Schema, pa.Schema]) -> None:
        self._target, self._rejects, (self._schema, self._rejected_schema) = target, rejects, schemas
        self._places, self._writers = ExitStack(), ExitStack()
        self._rejected_file: Pending | None = None

    def __enter__(self) -> Self:
        self._before = _state(self._target)
        self._scored_file = self._places.enter_context(pending(self._target))
        with ExitStack() as opening:
            opening.push(self._places)
            self._write = self._writer(self._scored_file, self._schema)
            opening.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        with self._places, self._writers:
            pass

    def write(self, scored: ScoredBatch) -> None:
        """Write a batch."""
        self._write(scored.scored)
        if scored.rejected is not None:
            if self._rejected_file is None:
                self._rejected_file = self._places.enter_context(pending(self._rejects))
                self._reject = self._writer(self._rejected_file, self._rejected_schema)
            self._reject(scored.rejected)

    def commit(self, *, rejected_only: bool = False) -> None:
        """Put the files into their places; those of an earlier job go."""
        self._writers.close()
        with _alone(self._target):  # both files are of the same job
            self.replaced = _state(self._target) != self._before
            self._rejected_file.publish() if self._rejected_file else self._rejects.remove()
            if not rejected_only:
                self._scored_file.publish()

    def _writer(self, file: Pending, schema: pa.Schema) -> formats.Write:
        return formats.writer(file.path, formats.format_of(file.target.name), schema, self._writers)


class TableOutput:
    """A table of a database; rejected rows of a job that failed are rolled back with the others."""

    replaced = False

    def __init__(self, writer: TableWriter) -> None:
        self._writer = writer

    def write(self, scored: ScoredBatch) -> None:
        """Write a batch."""
        self._writer.write(scored.scored)
        if scored.rejected is not None:
            self._writer.reject(scored.rejected)

    def commit(self, *, rejected_only: bool = False) -> None:
        """Have all rows appear at once."""
        if not rejected_only:
            self._writer.commit()


def _state(target: Location) -> object:
    return file_state(Path(target.path)) if target.is_local else None


def _alone(target: Location) -> AbstractContextManager[None]:
    return locked(Path(target.path).parent) if target.is_local else nullcontext()
