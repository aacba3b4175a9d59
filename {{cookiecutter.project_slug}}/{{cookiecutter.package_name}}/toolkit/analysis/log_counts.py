"""Counts the whole log: file by file, in processes of their own, since most of the work is to parse JSON.

Each process holds a few blocks of one file, and returns counts, so the memory does not grow with the log. The labels
come first; they are a file that all processes read.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..batch.locations import Location
from ..batch.pipeline import processors
from ..common.errors import UserError
from . import label_log, log_blocks, log_files
from .label_log import Labels
from .log_files import LogFileInfo, ReadProblems
from .version_counts import Reference, VersionCounts, of_block
from .window import Window

#: A log of fewer bytes is read before other processes have started.
BYTES_OF_ONE_PROCESS = 30_000_000

FolderOf = Callable[[int], Path | None]
"""A version in, the folder that has its contract and its profile out; None if it cannot be had."""
Progress = Callable[[int, float], None]
"""Is called with rows that were just read, and with the share of all files that is done, from 0 to 1."""


@dataclass
class LogCounts:
    """What was counted of a log."""

    versions: dict[int, VersionCounts] = field(default_factory=dict)
    labels: Labels = field(default_factory=lambda: label_log.latest([], 1))
    problems: ReadProblems = field(default_factory=ReadProblems)


class _Task(NamedTuple):
    """A file to count; of `only` these versions, if any are given."""

    file: LogFileInfo
    window: Window
    #: Folders of the versions that are there.
    folders: dict[int, Path]
    #: The file of the numbers of labels.
    labels: str
    groups: tuple[str, ...]
    only: frozenset[int] = frozenset()


def count_log(
    folder: Location,
    window: Window,
    folder_of: FolderOf,
    groups: Iterable[str] = (),
    progress: Progress = lambda rows, share: None,
) -> LogCounts:
    """Return what is counted of the predictions in a window, and the labels of these.

    `groups` are the features by which quality is grouped.
    """
    feedback, predictions = (
        log_files.find(folder, name, window.start) for name in (log_files.FEEDBACK, log_files.PREDICTIONS)
    )
    found, share = LogCounts(), label_log.share_for(feedback)
    total = sum(file.size for file in (*feedback, *predictions)) or 1
    with _pool(total) as pool, tempfile.NamedTemporaryFile(suffix=".npy") as numbers:
        parts = []
        for part, problems in pool.map(label_log.read, [(file, share) for file in feedback]):
            parts.append(part)
            found.problems.add(problems)
        found.labels = label_log.latest(parts, share)
        np.save(numbers, found.labels.numbers)
        numbers.flush()
        task = _Task(LogFileInfo("", "", 0, ""), window, {}, numbers.name, tuple(groups))
        _count_files(found, pool, [task._replace(file=file) for file in predictions], folder_of, progress)
    return found


def _count_files(
    found: LogCounts, pool: _Pool, tasks: Sequence[_Task], folder_of: FolderOf, progress: Progress
) -> None:
    """Count files; one that has versions whose folders are not there yet is read again for these."""
    first = {log_files.first_version(task.file) for task in tasks} - {None}
    folders = {number: folder_of(number) for number in first if number is not None}
    total, done = sum(task.file.size for task in tasks) or 1, 0
    while tasks:
        again = []
        # Lazily: the folders of versions are known better the more files have been read.
        results = pool.map(_count_file, ((_with_folders(task, folders),) for task in tasks))
        for task, (versions, problems) in zip(tasks, results, strict=True):
            if not task.only:
                found.problems.add(problems)
                done += task.file.size
            for number in versions.keys() - folders.keys():
                folders[number] = folder_of(number)
            late = frozenset(n for n, counts in versions.items() if not counts.has_bins and folders[n] is not None)
            if late:
                again.append(task._replace(only=late))
            for number in versions.keys() - late:
                found.versions.setdefault(number, VersionCounts(False)).add(versions[number])
            progress(sum(versions[n].rows.total() for n in versions.keys() - late), done / total)
        tasks = again


def _with_folders(task: _Task, folders: dict[int, Path | None]) -> _Task:
    return task._replace(folders={number: path for number, path in folders.items() if path})


def _count_file(task: _Task) -> tuple[dict[int, VersionCounts], ReadProblems]:
    """Return what was counted of a file, by version; runs in another process."""
    problems, found = ReadProblems(), dict[int, VersionCounts]()
    labels = _numbers(task.labels)
    for block in log_blocks.read_blocks(task.file, problems):
        if task.only and block.version not in task.only:
            continue
        folder = task.folders.get(block.version)
        counts = of_block(block, task.window, _reference(folder) if folder else None, labels, task.groups)
        if counts:
            found.setdefault(block.version, VersionCounts(counts.has_bins)).add(counts)
    return found, problems


@lru_cache
def _reference(folder: Path) -> Reference:
    return Reference.read(folder)


@lru_cache(1)
def _numbers(path: str) -> Labels:
    numbers = np.load(path, mmap_mode="r") if Path(path).stat().st_size else np.array([], np.uint64)
    return Labels(numbers, np.array([], "datetime64[us]"), [], 1)


class _Pool(Protocol):
    def map(self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield the results of a function in the order of its arguments."""


class _Here:
    """Calls functions in this process."""

    def map(self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        for one in arguments:
            yield function(*one)


class _Processes:
    """Calls functions in other processes, a few more at once than there are of these."""

    def __init__(self, executor: ProcessPoolExecutor, count: int) -> None:
        self._executor, self._count = executor, count

    def map(self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        rest = iter(arguments)
        waiting: list[Future[Any]] = []
        for one in rest:
            waiting.append(self._executor.submit(function, *one))
            if len(waiting) > 2 * self._count:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


@contextmanager
def _pool(size: int) -> Iterator[_Pool]:
    count = processors()
    # A worker of a scheduler may be a daemon, which may have no processes of its own.
    if size < BYTES_OF_ONE_PROCESS or count == 1 or multiprocessing.current_process().daemon:
        yield _Here()
        return
    # Not forked: this process has threads.
    executor = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))
    try:
        yield _Processes(executor, count)
    except BrokenProcessPool as error:
        raise UserError(
            "A process that reads the log was killed, probably because the memory was used up. Look at fewer days "
            "(DAYS=1), or give the job more memory."
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)
