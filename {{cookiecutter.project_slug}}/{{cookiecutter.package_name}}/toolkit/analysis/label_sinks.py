"""Where joined labels go: into a feedback log, or to a service, which writes them into its log and counts them."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import requests

from ..batch.locations import Location
from ..batch.object_stores import upload
from ..common.errors import UserError
from ..common.scratch import scratch_folder
from ..monitoring import feedback_log
from ..monitoring.feedback_log import Label
from ..monitoring.prediction_log import LogFile
from .known_labels import KnownLabels
from .label_join import Joined

#: Characters that are written, or sent, at once.
CHUNK_CHARACTERS = 1_000_000
#: A label beside its id.
LABEL_CHARACTERS = 100
#: Seconds until a service must have answered; it writes to its disk before.
ANSWER_SECONDS = 60
#: Pauses before a service is asked again that is busy, or does not answer.
RETRY_SECONDS = (0.5, 1, 2, 4, 8)
BUSY = {429, 502, 503, 504}


class Taken(NamedTuple):
    """Labels that are taken, those of them that were known before, and those that a service has rejected."""

    taken: int = 0
    known: int = 0
    rejected: int = 0

    def plus(self, other: Taken) -> Taken:
        """Return the sum."""
        return Taken(self.taken + other.taken, self.known + other.known, self.rejected + other.rejected)


class LogSink:
    """Writes labels that are not known into a feedback log."""

    def __init__(self, file: LogFile, known: KnownLabels) -> None:
        self._file, self._known = file, known
        #: Bytes that were written.
        self.bytes = 0

    def take(self, joined: Joined) -> Taken:
        """Write labels, and flush them to the disk."""
        known = self._known.has(joined.id_numbers, joined.label_numbers)
        new = [joined.labels[row] for row in np.flatnonzero(~known).tolist()]
        for labels in _chunks(new):
            lines = feedback_log.lines(labels, datetime.now(UTC))
            self._file.append(lines)
            self.bytes += len(lines)
        return Taken(len(joined.labels), int(known.sum()))


@contextmanager
def open_log(folder: Location, known: KnownLabels, total_bytes: int) -> Iterator[LogSink]:
    """Yield a sink for the feedback log in a folder, whose oldest files go where it is more than some bytes.

    Files for an object store are uploaded in the end; nothing is removed there.
    """
    if folder.is_local:
        file = LogFile(Path(folder.path), feedback_log.NAME, total_bytes)
        yield LogSink(file, known)
        file.close()
        return
    with scratch_folder(Path(tempfile.gettempdir()), "feedback-") as scratch:
        file = LogFile(scratch, feedback_log.NAME, sys.maxsize)
        yield LogSink(file, known)
        file.close()
        for path in sorted(scratch.iterdir()):
            target = folder.child(path.name)
            upload(path, target.filesystem, target.path, target.address)


class ServiceSink:
    """Sends labels to a service, which knows itself what was sent before."""

    def __init__(self, address: str, authorization: str) -> None:
        self._url, self._authorization = f"{address.rstrip('/')}/feedback", authorization
        #: Why the first label was rejected.
        self.reason = ""

    def take(self, joined: Joined) -> Taken:
        """Send labels; `UserError` if the service does not take them."""
        taken = Taken()
        for labels in _chunks(joined.labels):
            taken = taken.plus(self._send(labels))
        return taken

    def _send(self, labels: Sequence[Label]) -> Taken:
        answer = self._post([{"id": label.id} | label.actual for label in labels])
        content = _json(answer)
        if answer.status_code == 413 and len(labels) > 1:  # its MAX_ROWS or MAX_BYTES are lower
            half = len(labels) // 2
            return self._send(labels[:half]).plus(self._send(labels[half:]))
        problems = content.get("problems") or []
        if problems and not self.reason:
            first = problems[0]
            self.reason = f"{first.get('field')}: {first.get('reason')} (value {first.get('value')!r})"
        if answer.status_code == 400 and problems:
            return Taken(rejected=len(labels))
        if answer.status_code != 202 or not isinstance(content.get("taken"), int):
            raise UserError(_explain(self._url, answer, content))
        return Taken(content["taken"], content.get("known", 0), len(labels) - content["taken"])

    def _post(self, labels: list[dict[str, Any]]) -> requests.Response:
        for pause in (*RETRY_SECONDS, None):
            reason = ""
            try:
                answer = requests.post(
                    self._url, json=labels, timeout=ANSWER_SECONDS, auth=self._authorize, allow_redirects=False
                )
                if answer.status_code not in BUSY:
                    return answer
                reason = f"{answer.status_code}: {_json(answer).get('error', answer.reason)}"
            except requests.RequestException as error:
                reason = type(error).__name__
            if pause is not None:
                time.sleep(pause)
        raise UserError(
            f"{self._url} does not take labels ({reason}). What it has taken stays; run again when it answers, or "
            "unset SERVICE_URL to write the labels into LOG_FOLDER."
        )

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # By a function, since requests would replace a plain header by credentials of ~/.netrc for this host.
        if self._authorization:
            request.headers["Authorization"] = self._authorization
        return request


def _explain(url: str, answer: requests.Response, content: dict[str, Any]) -> str:
    """Return what an answer means, and what to do."""
    status = answer.status_code
    reason = f"{url} answers {status}: {content.get('error') or answer.reason}"
    if status in (401, 403):
        return f"{reason}. Set AUTH, and TOKENS or MLflow's credentials, as for a caller of the service."
    if status == 404 or status < 400:
        return f"{reason}. SERVICE_URL is the address of the service, with its ROOT_PATH."
    return reason


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _chunks(labels: Sequence[Label]) -> Iterator[Sequence[Label]]:
    """Yield labels in parts of a size."""
    if labels:
        size = max(1, CHUNK_CHARACTERS // (len(labels[0].id) + LABEL_CHARACTERS))
        for start in range(0, len(labels), size):
            yield labels[start : start + size]
