"""The release in memory: its versions, loaded and proven, and replaced as a whole when the store says so."""

from __future__ import annotations

import gc
import logging
import random
import threading
import time
import zlib
from pathlib import Path
from typing import NamedTuple

from ..common.errors import RejectedError, UserError
from ..contract.columns import Columns
from ..contract.json_rows import RowParser
from ..monitoring.drift_counters import DriftCounters
from ..monitoring.metrics import LOADED, PROBLEM, RELEASED, ROWS, SECONDS, SERVED
from ..monitoring.prediction_ids import Ids
from ..release.store import Release, Store
from ..version.artifact import Artifact
from .micro_batches import Batcher

#: How long a release that could not be loaded is left alone; the reason may pass, as a lack of memory does.
RETRY_SECONDS = 30.0

log = logging.getLogger(__name__)


class LiveVersion:
    """A version that is loaded and counted."""

    def __init__(self, number: int, artifact: Artifact, model: str) -> None:
        self.number, self.artifact = number, artifact
        self.label = artifact.contract.label.name
        self.parser = RowParser(artifact.contract)
        self.ids = Ids(model, number, artifact.contract.label)
        self._batcher = Batcher(artifact.runtime)
        self.seconds = SECONDS.labels(number)
        self._rows = ROWS.labels(number)
        self._counted = DriftCounters(number, artifact)

    async def score(self, rows: int, columns: Columns) -> Columns:
        """Return the predictions for some rows."""
        return await self._batcher.score(rows, columns)

    def count(self, columns: Columns, predictions: Columns) -> None:
        """Count the rows of many requests together."""
        self._rows.inc(len(predictions[self.label]))
        self._counted.add(columns, predictions)


class ReleaseSnapshot(NamedTuple):
    """A release with its versions in memory; replaced as a whole, so that no request sees half of a change."""

    release: Release
    versions: dict[int, LiveVersion]

    def share(self, key: bytes) -> LiveVersion:
        """Return the version that answers a caller who names none: the same for the same key, if shares are set."""
        if not self.release.shares:
            return self.versions[self.release.champion]
        point = zlib.crc32(key) % 100 if key else random.randrange(100)
        for number, percent in self.release.shares.items():
            point -= percent
            if point < 0:
                return self.versions[number]
        raise AssertionError("shares add up to 100")


class LiveRelease:
    """The store's release, followed while it is served."""

    def __init__(self, store: Path) -> None:
        self._store = Store(store)
        self._loaded: ReleaseSnapshot | None = None
        self._seen: object = None
        self._retry_at = 0.0
        #: Why the newest release is not the one that is served, "" if it is.
        self.problem = ""
        #: Why the store's release may not be what the registry wants, as who fills the store says.
        self.behind = ""

    @property
    def loaded(self) -> ReleaseSnapshot:
        """The release with its versions; 503 before one is loaded."""
        if self._loaded is None:
            raise RejectedError(503, "no version is loaded yet")
        return self._loaded

    @property
    def release(self) -> Release | None:
        """The release that is served, None before one is loaded."""
        return self._loaded.release if self._loaded else None

    @property
    def versions(self) -> dict[int, LiveVersion]:
        """The versions that are served, by number."""
        return self._loaded.versions if self._loaded else {}

    def load(self) -> None:
        """Load and prove every version of the store's release; `UserError` leaves what was served before."""
        self._seen = self._store.mark()
        release = self._store.release()
        if release is None:
            raise UserError(f"{self._store.root} holds no release to serve. Make one: make train && make deploy")
        before = self.release
        self._loaded = ReleaseSnapshot(release, {number: self._serve(number, release) for number in release.versions})
        _show(release, before)
        # What is loaded stays: the garbage collector need not look at it again in the middle of requests. What the
        # release before left behind goes.
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def _serve(self, number: int, release: Release) -> LiveVersion:
        """Return a version, loaded and proven; the one that is served already if it is the same."""
        digest = release.digests.get(number, "")
        present = self.versions.get(number)
        if present and digest and self._loaded and digest == self._loaded.release.digests.get(number):
            return present
        served = LiveVersion(number, self._store.load(number, digest), release.model)
        served.artifact.verify()
        return served

    def follow(self) -> bool:
        """Load the store's release if it is another, and return whether it was; a failure is kept in `problem`."""
        changed = self._store.mark() != self._seen
        if changed or (self.problem and time.monotonic() >= self._retry_at):
            self._replace()
        behind = self._store.noted()
        if behind and behind != self.behind:
            log.error("the store is not brought up to date: %s", behind)
        self.behind = behind
        PROBLEM.set(bool(self.problem or self.behind))
        return changed

    def _replace(self) -> None:
        try:
            self.load()
            self.problem = ""
            log.info("serving %s", self._loaded and self._loaded.release.words())
        except Exception as error:  # whatever is wrong with the new release, the one before serves on
            if str(error) != self.problem:
                log.error("the new release is not served: %s", error)
            self.problem, self._retry_at = str(error), time.monotonic() + RETRY_SECONDS

    def watch(self, seconds: float = 1.0) -> None:
        """Follow the store from now on, in a thread of its own."""

        def keep_following() -> None:
            while True:
                time.sleep(seconds)
                self.follow()

        threading.Thread(target=keep_following, name="release", daemon=True).start()

    def find(self, reference: str | None = None, key: bytes = b"") -> LiveVersion:
        """Return a version by number or alias, the key's share if none is named; 404 names the versions there are."""
        loaded = self.loaded
        if reference is None:
            return loaded.share(key)
        for number, aliases in loaded.release.versions.items():
            if reference in (str(number), *aliases):
                return loaded.versions[number]
        raise RejectedError(404, f"version {reference!r} is not served; there are: {loaded.release.words()}")


def _show(release: Release, before: Release | None) -> None:
    """Show a release in the metrics, where labels that were once there stay, and have to become 0."""
    LOADED.set(len(release.versions))
    RELEASED.set(release.created.timestamp())
    for shown, value in ((before, 0), (release, 1)):
        for number, aliases in shown.versions.items() if shown else ():
            for alias in aliases or ("",):
                SERVED.labels(number, alias).set(value)
