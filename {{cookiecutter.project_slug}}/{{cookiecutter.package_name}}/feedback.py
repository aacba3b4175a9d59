"""Feedback: actual labels of files, joined with the predictions that were answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from . import config
from .shared.access import authorization
from .shared.trust import model_store
from .toolkit.analysis.known_labels import read_known
from .toolkit.analysis.label_files import EXAMPLE, LabelFiles, Progress, open_labels
from .toolkit.analysis.label_index import LabelCounts, LabelIndex, build_index
from .toolkit.analysis.label_join import join_by_id, join_by_key
from .toolkit.analysis.label_rejects import write_rejects
from .toolkit.analysis.label_sinks import LogSink, ServiceSink, Taken, open_log
from .toolkit.analysis.log_blocks import LogBlock, read_blocks
from .toolkit.analysis.log_files import PREDICTIONS, ReadProblems, find
from .toolkit.batch import formats, recorded
from .toolkit.batch.locations import Location, locate
from .toolkit.common import console, plurals, progress
from .toolkit.common.errors import UserError, explain_os_errors
from .toolkit.common.scratch import alone
from .toolkit.contract.schema import Contract
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors


def run(settings: config.Settings, source: str, key: str = "", log: str = "") -> None:
    """Take the labels of files: into the feedback log, or to the service in SERVICE_URL, which counts them too.

    `log` is the folder of the logs, by default LOG_FOLDER. Rows that cannot be used go to `<INPUT's name>.rejects.csv`
    there, with their reasons.
    """
    if not source:  # what the Makefile gives where nothing is set
        raise UserError(f"INPUT is missing. {EXAMPLE}")
    files = open_labels(source, *_contract(settings), key)
    folder = locate(log or str(settings.log_folder))
    with explain_os_errors(Path(folder.path) if folder.is_local else None), _alone(folder):
        _run(settings, source, files, folder)


@contextmanager
def _alone(folder: Location) -> Iterator[None]:
    """Have no other command of this machine take labels into a folder meanwhile, and make it."""
    if not folder.is_local:
        folder.child("feedback").check_writable()
        yield
        return
    path = Path(folder.path)
    path.mkdir(parents=True, exist_ok=True)
    with alone(path, f"{folder.address}: another make feedback is writing there; wait for it to end"):
        yield


def _contract(settings: config.Settings) -> tuple[Contract, str]:
    """Return the contract of the champion that is served here, or else of the registry's, and the model's name."""
    store = model_store(settings)
    if release := store.release():
        return store.load(release.champion, release.digests.get(release.champion, "")).contract, release.model
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        return recorded.pull(registry, store, "champion").artifact.contract, settings.model_name


def _run(settings: config.Settings, source: str, files: LabelFiles, folder: Location) -> None:
    with progress.step("read", "rows") as step:
        index, counts = build_index(files, files.read(step.update))
        step.detail = f"{plurals.count(counts.rows, 'row')} of {source}"
    rejects = folder.child(f"{formats.stem(locate(source).fixed.name)}.rejects{formats.REJECTS}")
    _reject(settings, files, index, counts, rejects)
    problems = ReadProblems()
    used = np.zeros(len(index), bool)
    taken = Taken()
    with progress.step("join", "rows") as step, _sink(settings, files, folder) as sink:
        if files.reference.by == "id":
            joining = join_by_id(files, index, files.read(step.update))
        else:
            joining = join_by_key(files, index, _logged(folder, problems, step.update), used)
        for joined in joining:
            taken = taken.plus(sink.take(joined))
        step.detail = f"{plurals.count(taken.taken, 'label')} of predictions, by {files.reference.name}"
    for note in problems.notes():
        console.warn(note)
    _report(counts, taken, settings.service_url or folder.address, rejects)
    if files.reference.by != "id" and (missing := int((~used & ~index.ambiguous).sum())):
        labels = plurals.count(missing, "label")
        console.say(f"No prediction:  {labels}, whose {files.reference.name} is in no logged row before")
    if isinstance(sink, ServiceSink):
        if sink.reason:
            raise UserError(
                f"The service has rejected {plurals.count(taken.rejected, 'label')}. The first: {sink.reason}"
            )
    elif sink.bytes:
        _advise(settings, sink, folder)
    console.next_steps(("make monitor", "quality by these labels, drift, and what they mean"))


def _advise(settings: config.Settings, sink: LogSink, folder: Location) -> None:
    """Say what becomes of labels in a log."""
    megabytes = sink.bytes / 1_000_000
    if folder.is_local and megabytes > settings.log_megabytes:
        console.warn(
            f"These labels take {megabytes:.0f} MB, and LOG_MEGABYTES={settings.log_megabytes}: the oldest were "
            "removed. Raise it and run again."
        )
    console.say(
        "The counters of a service do not have them; with SERVICE_URL, a service takes and counts labels itself."
    )


def _reject(
    settings: config.Settings, files: LabelFiles, index: LabelIndex, counts: LabelCounts, rejects: Location
) -> None:
    """Write the rejected rows, and raise `UserError` if there are too many, before a label is taken."""
    if not counts.rejected:
        rejects.remove()
        return
    write_rejects(files, index, files.read(), rejects)
    too_many = counts.rejected / counts.rows > settings.max_rejects
    if too_many or counts.rejected + counts.unlabelled == counts.rows:
        limit = f", more than MAX_REJECTS={settings.max_rejects:g} allows" if too_many else ""
        raise UserError(
            f"No label was taken: {counts.rejected:,} of {plurals.count(counts.rows, 'row')} cannot be used{limit}; "
            f"{rejects.address} has the reasons"
        )


@contextmanager
def _sink(settings: config.Settings, files: LabelFiles, folder: Location) -> Iterator[LogSink | ServiceSink]:
    if settings.service_url:
        yield ServiceSink(settings.service_url, authorization(settings))
        return
    with open_log(folder, read_known(folder, files.labels), settings.log_megabytes * 1_000_000) as sink:
        yield sink


def _logged(folder: Location, problems: ReadProblems, update: Progress) -> Iterator[LogBlock]:
    """Yield the rows of the prediction log."""
    logs = find(folder, PREDICTIONS, datetime.min.replace(tzinfo=UTC))
    done, total = 0, sum(log.size for log in logs)
    for log in logs:
        for block in read_blocks(log, problems):
            yield block
            update(len(block.ids), done / max(total, 1))
        done += log.size


def _report(counts: LabelCounts, taken: Taken, place: str, rejects: Location) -> None:
    new = taken.taken - taken.known
    console.say(f"\nNew labels:     {new:,}{f', now in {place}' if new else ''}")
    for name, count, thing, meaning in (
        ("Already known:", taken.known, "label", "sent before; each counts once"),
        ("Repeated:", counts.repeated, "row", "with what another row has"),
        ("No label yet:", counts.unlabelled, "row", "without a label"),
        ("Rejected:", counts.rejected, "row", f"with the reasons in {rejects.address}"),
    ):
        if count:
            console.say(f"{name:<15} {plurals.count(count, thing)} {meaning}")
