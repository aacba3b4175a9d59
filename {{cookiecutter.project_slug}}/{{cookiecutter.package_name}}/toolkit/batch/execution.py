"""Rows in, an output out: reading, scoring and writing overlap, and all processors given are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from ..common.errors import explain_os_errors
from ..monitoring.bin_counts import BinCounts
from .folder import Folder
from .outputs import FileOutput, Output
from .parts import Part, Rows
from .pipeline import in_order, processors
from .scoring import Scorer

Progress = Callable[[int, float], None]
"""Is called with rows that were just written, and with the share of their source that is done, from 0 to 1."""


class Source(Protocol):
    """Rows that can be opened: a `Part`, or the answer of a database."""

    @property
    def address(self) -> str:
        """The file, or the database."""
        ...

    @property
    def first_row(self) -> int:
        """The position of the first row in the file."""
        ...

    @property
    def rows(self) -> int | None:
        """Number of rows; None where only reading tells it."""
        ...

    def open(self) -> AbstractContextManager[Rows]:
        """Open the rows; `UserError` if they cannot be read."""
        ...

    def check_unchanged(self) -> None:
        """Raise `UserError` if what was read has changed since the job was planned."""
        ...


class Shares:
    """Turns the share of one source that is done into that of all: by rows if their number is known, or by size."""

    def __init__(self, sources: Sequence[Source], progress: Progress) -> None:
        self._progress, self._done = progress, 0.0
        rows = [source.rows for source in sources]
        self._weights = {
            source: float(getattr(source, "size", 1) if None in rows else source.rows or 0) for source in sources
        }
        self._total = sum(self._weights.values()) or 1.0

    def of(self, source: Source) -> Progress:
        """Return what is called for a source; those before it are done."""
        before, weight = self._done, self._weights[source]
        self._done += weight
        return lambda rows, share: self._progress(rows, (before + weight * share) / self._total)


class Counts(NamedTuple):
    """What was counted of a source, or of a job: rows read, those of them that were rejected, the others by bin."""

    rows: int = 0
    rejected: int = 0
    bins: BinCounts = BinCounts()

    def plus(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(self.rows + other.rows, self.rejected + other.rejected, self.bins + other.bins)

    def as_json(self) -> dict[str, Any]:
        """Return the counts as plain Python values."""
        return self._asdict() | {"bins": self.bins.as_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Counts:
        """Return the counts that `as_json` returned; `ValueError` for others."""
        try:
            return cls(int(content["rows"]), int(content["rejected"]), BinCounts.from_json(content["bins"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"these are no counts: {content}") from error


def score_rows(
    source: Source, rows: Rows, output: Output, scorer: Scorer, threads: int | None = None
) -> Iterator[tuple[Counts, float]]:
    """Score the rows of a source into an output, which is not committed; by default on all processors given.

    Yields after each batch what was counted of it, and the share of the source that is done, from 0 to 1.
    """
    # What a model in Python does with its threads is not known; ONNX Runtime may be called by several at once.
    threads = 1 if scorer.artifact.runtime.threaded else threads or processors()
    position = 0
    for scored in in_order(_positions(source, rows), lambda item: scorer.score(*item), threads):
        output.write(scored)
        rejected = 0 if scored.rejected is None else len(scored.rejected)
        counts = Counts(len(scored.scored) + rejected, rejected, scored.bins)
        position += counts.rows
        yield counts, position / source.rows if source.rows else rows.share_read()


def _positions(source: Source, rows: Rows) -> Iterator[tuple[pa.RecordBatch, str, int]]:
    position = source.first_row
    for batch in rows.batches:
        yield batch, source.address, position
        position += len(batch)


def score_part(
    part: Part,
    folder: Folder,
    scorer: Scorer,
    progress: Progress = lambda rows, share: None,
    threads: int | None = None,
) -> Counts:
    """Score a part into its file of a folder, and record that it is done."""
    counts = Counts()
    with part.open() as rows, explain_os_errors(folder.place):
        schemas = scorer.scored_schema(rows.schema), scorer.rejected_schema(rows.schema)
        with FileOutput(folder.output(part), folder.rejects(part), schemas) as output:
            for new, share in score_rows(part, rows, output, scorer, threads):
                counts = counts.plus(new)
                progress(new.rows, share)
            part.check_unchanged()
            output.commit()
        folder.finish(part, scorer.digest, counts.as_json())
    return counts
