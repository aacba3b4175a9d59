"""The live release: versions loaded and verified, and replaced as a whole when the release of the store is."""

from __future__ import annotations

import gc
import logging
import random
import threading
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from ..common.errors import RejectedError
from ..common.redaction import redact
from ..contract.columns import Columns, from_rows
from ..contract.json_rows import RowParser
from ..monitoring.metrics import LOADED_VERSIONS, RELEASE_CREATED, RELEASE_PROBLEM, SERVED_ALIASES
from ..monitoring.prediction_ids import IdGenerator
from ..monitoring.version_counters import VersionCounters
from ..release.store import Release, Store
from ..version.artifact import Artifact
from .micro_batches import Batcher
from .warm_versions import WarmVersions

#: Time until a release that could not be loaded is tried again; the reason may pass, as a lack of memory does.
RETRY_SECONDS = 30.0

log = logging.getLogger(__name__)


class LiveVersion:
    """A version in memory, with what a request needs of it."""

    def __init__(self, number: int, artifact: Artifact, model: str, digest: str = "") -> None:
        self.number, self.artifact, self.digest = number, artifact, digest
        self.parser = RowParser(artifact.contract)
        self.ids = IdGenerator(model, number, *(artifact.contract.labels or artifact.contract.prediction[:1]))
        self.counters = VersionCounters(number, artifact)
        self._batcher = Batcher(artifact.runtime)
        #: The columns of `features.py` and what they cost here, under "features"; empty without them.
        self.features = _features(artifact)

    async def score(self, rows: int, columns: Columns) -> Columns:
        """Return the predictions for the columns of some rows."""
        return await self._batcher.score(rows, columns)


def _features(artifact: Artifact) -> dict[str, Any]:
    """Measure the features of a version."""
    if artifact.features is None:
        return {}
    rows = from_rows(artifact.example.rows, artifact.contract)
    return {"features": {"columns": artifact.features.kinds, "microseconds": artifact.features.microseconds(rows)}}


class ReleaseSnapshot(NamedTuple):
    """A release with its versions in memory; replaced as a whole, so that no request sees half of a change."""

    release: Release
    versions: dict[int, LiveVersion]

    def find(self, reference: str | None, key: bytes = b"") -> LiveVersion:
        """Return the version of a number or alias; without one, the version chosen by the traffic weights and the key.

        `RejectedError` (404) names the versions that are served.
        """
        if reference is None:
            return self.choose(key)
        for number, aliases in self.release.versions.items():
            if reference in (str(number), *aliases):
                return self.versions[number]
        raise RejectedError(404, f"version {reference!r} is not served; there are: {self.release.summary()}")

    def choose(self, key: bytes) -> LiveVersion:
        """Return the version for a caller who names none: by traffic weights, the same one for the same key."""
        if not self.release.weights:
            return self.versions[self.release.champion]
        point = zlib.crc32(key) % 100 if key else random.randrange(100)
        for number, percent in self.release.weights.items():
            point -= percent
            if point < 0:
                return self.versions[number]
        raise AssertionError("traffic weights add up to 100")


class LiveRelease:
    """Follows the release of a store, and holds a snapshot of it in memory."""

    def __init__(self, store: Path) -> None:
        self._store = Store(store)
        self._snapshot: ReleaseSnapshot | None = None
        self._warm_versions = WarmVersions(store, self._load_version)
        self._loaded_state: object = None
        self._retry_at = 0.0
        #: Why the newest release in the store is not the current one, "" if it is.
        self.problem = ""
        #: The problem reported by `sync`: why the store may not be in sync with the registry, "" if it is.
        self.sync_problem = ""

    @property
    def snapshot(self) -> ReleaseSnapshot:
        """The current release with its versions; `RejectedError` (503) before one is loaded."""
        if self._snapshot is None:
            raise RejectedError(503, "no version is loaded yet")
        return self._snapshot

    def load(self) -> None:
        """Load and verify every version of the store's release; after a `UserError` the current release stays."""
        self._loaded_state = self._store.release_state()
        release = self._store.required_release()
        previous = self._snapshot
        if previous and release.champion != previous.release.champion:
            self._warm_versions.drop(but=release)
        versions = {number: self._version(number, release) for number in release.versions}
        self._snapshot = ReleaseSnapshot(release, versions)
        _set_gauges(release, previous.release if previous else None)
        _freeze()

    @property
    def warm(self) -> LiveVersion | None:
        """The version that is in memory for a rollback and answers nobody, None if there is none."""
        version = self._warm_versions.version
        served = self._snapshot.versions if self._snapshot else {}
        return version if version and served.get(version.number) is not version else None

    def _version(self, number: int, release: Release) -> LiveVersion:
        """Return a version of a release: the one in memory if it is the same, else loaded and verified."""
        digest = release.digests.get(number, "")
        known = self._snapshot.versions.get(number) if self._snapshot else None
        for version in (known, self.warm):
            if version and digest and (version.number, version.digest) == (number, digest):
                return version
        return self._load_version(number, digest, release.model)

    def _load_version(self, number: int, digest: str, model: str) -> LiveVersion:
        version = LiveVersion(number, self._store.load(number, digest), model, digest)
        version.artifact.verify()
        return version

    def follow(self) -> bool:
        """Load the store's release if it has changed, and return whether it has; a failure is kept in `problem`."""
        changed, before = self._store.release_state() != self._loaded_state, self._snapshot
        if changed or (self.problem and time.monotonic() >= self._retry_at):
            self._replace()
        if self._snapshot and self._warm_versions.follow(self._snapshot, before):
            LOADED_VERSIONS.set(len(self._snapshot.versions) + bool(self.warm))
            if not changed:  # otherwise it has just been done, and is once more in the next round
                _freeze()
        sync_problem = self._store.problem()
        if sync_problem and sync_problem != self.sync_problem:
            log.error("the store is not in sync with the registry: %s", sync_problem)
        self.sync_problem = sync_problem
        RELEASE_PROBLEM.set(bool(self.problem or self.sync_problem))
        return changed

    def _replace(self) -> None:
        try:
            self.load()
            self.problem = ""
            log.info("serving %s", self.snapshot.release.summary())
        except Exception as error:  # whatever is wrong with the new release, the current release stays in service
            if redact(str(error)) != self.problem:
                log.error("the new release is not served: %s", error)
            self.problem, self._retry_at = redact(str(error)), time.monotonic() + RETRY_SECONDS

    def watch(self, seconds: float = 1.0) -> None:
        """Start a thread that follows the store."""

        def keep_following() -> None:
            while True:
                time.sleep(seconds)
                self.follow()

        threading.Thread(target=keep_following, name="release", daemon=True).start()


def _freeze() -> None:
    """Have the garbage collector leave loaded versions alone: it would search them in the middle of requests.

    Those that were replaced are collected first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _set_gauges(release: Release, previous: Release | None) -> None:
    """Set the gauges of a release; the aliases of the previous one get 0, since a series cannot be removed."""
    LOADED_VERSIONS.set(len(release.versions))
    RELEASE_CREATED.set(release.created.timestamp())
    for versions, value in ((previous.versions if previous else {}, 0), (release.versions, 1)):
        for number, aliases in versions.items():
            for alias in aliases or ("",):
                SERVED_ALIASES.labels(number, alias).set(value)
