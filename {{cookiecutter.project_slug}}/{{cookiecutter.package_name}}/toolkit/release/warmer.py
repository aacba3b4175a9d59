"""Which version stays warm, by the history of the registry: the previous champion, for a while after a promotion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..common import console
from ..common.errors import UserError
from ..registry import history
from ..registry.errors import mlflow_errors
from .warm_file import WarmFile, WarmVersion

if TYPE_CHECKING:
    from ..registry.client import RegisteredVersion, Registry
    from .store import Release, Store


class Warmer:
    """Names in a store the version that stays warm: the previous champion, for some seconds after a promotion."""

    def __init__(self, store: Store, seconds: float, *, pull: bool = False) -> None:
        """`seconds` is 0 for no warm version; with `pull` it is pulled unless the store has it."""
        self._store, self._seconds, self._pull = store, timedelta(seconds=seconds), pull
        self._file = WarmFile(store.root)
        #: What could not be pulled, or is not admitted; it is not tried again.
        self._failed: RegisteredVersion | None = None
        self._reported = ""

    def keep(
        self,
        registry: Registry,
        versions: list[RegisteredVersion],
        tags: dict[str, str],
        release: Release,
        served: Release | None,
    ) -> None:
        """Name the warm version for a release; `served` is the release before.

        It is convenient, and nothing fails without it: what cannot be pulled is not warm, and a file that cannot be
        written is a warning.
        """
        number, until = self._champion_before(tags, release, served)
        version = next((version for version in versions if version.number == number), None)
        if version and (version.number in release.versions or not self._pulled(registry, version)):
            version = None
        warm = WarmVersion(number=version.number, digest=version.digest, until=until) if version else None
        problem = ""
        try:
            self._file.write(warm)
        except OSError as error:
            problem = (
                f"{self._store.root}/warm.json cannot be written ({error.strerror}): a rollback loads its version."
            )
        if problem and problem != self._reported:
            console.warn(problem)
        self._reported = problem

    def _champion_before(
        self, tags: dict[str, str], release: Release, served: Release | None
    ) -> tuple[int | None, datetime]:
        """Return the previous champion and until when it stays warm, by the registry's history.

        That has no event of a champion whose alias was moved in MLflow itself. The previous champion is then the one
        that was served until now.
        """
        now, current = datetime.now(UTC), self._file.read()
        event = history.last_move(tags, release.champion)
        if event and event.moment:
            # A time in the future is of a clock that is wrong, or of a tag that somebody has changed.
            recent = abs(now - event.moment) < self._seconds
            return (event.source, event.moment + self._seconds) if recent else (None, now)
        if self._seconds and served and served.champion != release.champion:
            return served.champion, now + self._seconds
        return (current.number, current.until) if self._seconds and current else (None, now)

    def _pulled(self, registry: Registry, version: RegisteredVersion) -> bool:
        """Whether the store has a version that a rollback may go back to, pulled if it may be."""
        if self._store.admission.approvals.problem(version) or version == self._failed:
            return False
        if not (self._pull or self._store.holds(version.number, version.digest)):
            return False
        try:
            with mlflow_errors(registry.uri):
                self._store.pull(version, registry.download)
        except (UserError, OSError):
            self._failed = version
            return False
        return True
