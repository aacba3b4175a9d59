"""What was built is started once, and must predict the example rows of each version as the training did."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ..common.commands import last_lines
from ..common.errors import UserError
from ..version.artifact import Artifact, is_close
from .store import Release, Store

#: Seconds within which a service has loaded and verified its release; the first start reads every library from disk.
START_SECONDS = 120
#: How Python, and this toolkit, name a library that is missing.
MISSING = re.compile(r"No module named '(?P<module>[\w.]+)'|needs (?P<library>[\w.]+), which is not installed")


class Started(Protocol):
    """A service that was started to be checked."""

    def ask(self, path: str, body: str) -> str | None:
        """Return the answer to a POST request, None as long as the service does not answer with 200."""

    def has_ended(self) -> bool:
        """Whether it has ended by itself."""

    def log(self) -> str:
        """Return what it has printed."""


class Built(NamedTuple):
    """What is checked: its name in messages, the lock of its libraries, the package of its code, and its release."""

    name: str
    lock: str
    package: str
    store: Store
    release: Release

    def check(self, started: Started, progress: Callable[[str], None] = lambda line: None) -> str:
        """Return how many rows a service predicted as the training did; `UserError` if it does not."""
        count = 0
        for number in self.release.versions:
            version = self.store.load(number)
            progress(f"started; version {number} is asked its example rows")
            answer = self._await(started, f"/versions/{number}/predict", json.dumps(version.example.rows))
            self._compare(number, version, json.loads(answer))
            count += len(version.example.rows)
        return f"started once, {count} example rows predicted as at training"

    def _await(self, started: Started, path: str, body: str) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            answer = started.ask(path, body)
            if answer is not None:
                return answer
            if started.has_ended() or MISSING.search(started.log()):
                break
            time.sleep(0.2)
        raise self._failure(started.log())

    def _compare(self, number: int, version: Artifact, answers: list[dict[str, Any]]) -> None:
        pairs = zip(version.example.predictions, answers, strict=True)
        for row, (expected, answer) in enumerate(pairs):
            for name, value in expected.items():
                if name not in answer or not is_close(value, answer[name]):
                    raise UserError(
                        f"{self.name} predicts {name}={answer.get(name)} for row {row} of version {number}'s example; "
                        f"at training it was {value}. The libraries of {self.lock} differ from those of the training: "
                        "train again."
                    )

    def _failure(self, log: str) -> UserError:
        """Return why a service did not start: the library that it lacks, else the end of its log."""
        for found in MISSING.finditer(log):
            library = (found["module"] or found["library"]).partition(".")[0]
            if library != self.package:
                return UserError(
                    f"{self.name} does not start: it needs {library}, which {self.lock} does not have. Add the package "
                    "that has it to the list MODEL in setup.py, then make lock, and make build again."
                )
        end = last_lines(log.splitlines())
        return UserError(f"{self.name} does not start, or does not answer. The end of its log:\n{end}")
