"""Versions in memory that answer nobody: the warm one, and for a moment those that were just replaced."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..release.warm_file import WarmFile, WarmVersion

if TYPE_CHECKING:
    from ..release.store import Release
    from .live_release import LiveVersion, ReleaseSnapshot

log = logging.getLogger(__name__)

#: Loads and verifies a version by its number, digest and model.
Load = Callable[[int, str, str], "LiveVersion"]


class WarmVersions:
    """Follows the warm version of a store; it is taken from memory where it is there, and loaded otherwise."""

    def __init__(self, store: Path, load: Load) -> None:
        self._file, self._load = WarmFile(store), load
        self._wanted: WarmVersion | None = None
        #: What the last round replaced. The store's release and its warm version are two files: what left the one is
        #: wanted by the other a moment later.
        self._replaced: dict[int, LiveVersion] = {}
        self.version: LiveVersion | None = None

    def follow(self, now: ReleaseSnapshot, before: ReleaseSnapshot | None) -> bool:
        """Do one round after the release `before` was replaced by `now`, or not; return whether memory has changed."""
        replaced = before.versions if before and before is not now else {}
        known, wanted = self._replaced | replaced | now.versions, self._file.read()
        changed = bool(self._replaced or replaced or wanted != self._wanted)
        if wanted != self._wanted:
            self._wanted, self.version = wanted, self._found(wanted, known, now.release.model)
        self._replaced = {number: version for number, version in replaced.items() if number not in now.versions}
        return changed

    def drop(self, but: Release) -> None:
        """Forget the warm version before a release is loaded that does not have it: memory has room for two."""
        if self.version and self.version.number not in but.versions:
            self.version = self._wanted = None

    def _found(self, wanted: WarmVersion | None, known: dict[int, LiveVersion], model: str) -> LiveVersion | None:
        """Return a version from memory or from the store; None if it cannot be loaded, which harms nobody."""
        if wanted is None:
            return None
        for version in (known.get(wanted.number), self.version):
            if version and (version.number, version.digest) == (wanted.number, wanted.digest):
                return version
        try:
            return self._load(wanted.number, wanted.digest, model)
        except Exception as error:
            log.warning("version %s does not stay warm for a rollback: %s", wanted.number, error)
            return None
