"""The store: versions on this machine's disk, and the current release, which lists the versions to serve.

    store/versions/3/      a version; present only when it is complete and its digest is verified
    store/release.json     the current release; replaced atomically
    store/warm.json        the previous champion, if it stays in memory for a rollback
    store/problem.txt      why the current release may not be in sync with the registry, blank if it is

The service reads nothing else, so it starts and runs while the registry is down.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..common.errors import LostVersionError, UserError
from ..common.file_state import FileState, file_state
from ..common.names import version_label
from ..common.redaction import redact
from ..common.scratch import scratch_folder, sweep
from ..version.artifact import Artifact, digest
from .admission import Admission

if TYPE_CHECKING:
    from ..registry.client import RegisteredVersion

#: Beginning of the name of a release that is being written.
UNFINISHED = ".release."
#: The size of problem.txt, which is constant.
PROBLEM_BYTES = 2000

Download = Callable[[int, Path], None]
"""Downloads a version, by its number, to a path that does not exist yet."""


class Release(BaseModel):
    """The versions to serve: the champion, and versions that callers may name or that get part of the traffic.

    Its JSON is read by running services, those of earlier templates among them: its keys never change.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    model: str
    champion: int
    #: Aliases by version number.
    versions: dict[int, tuple[str, ...]]
    digests: dict[int, str] = {}
    #: Traffic weights in percent by version number; empty if the champion gets all traffic.
    weights: dict[int, int] = Field(default={}, alias="shares")
    #: Versions that score the champion's rows too, unseen by callers.
    shadows: tuple[int, ...] = ()
    created: datetime

    @classmethod
    def now(
        cls,
        model: str,
        champion: int,
        versions: dict[int, tuple[str, ...]],
        *,
        digests: dict[int, str] | None = None,
        weights: dict[int, int] | None = None,
        shadows: tuple[int, ...] = (),
    ) -> Release:
        """Return a release created at this moment."""
        return cls(
            model=model,
            champion=champion,
            versions=versions,
            digests=digests or {},
            weights=weights or {},
            shadows=shadows,
            created=datetime.now(UTC),
        )

    def summary(self) -> str:
        """Return the versions with their aliases, traffic weights and shadows in one line."""
        names = [version_label(number, aliases) for number, aliases in sorted(self.versions.items())]
        text = f"version{'s' if len(names) > 1 else ''} {', '.join(names)}"
        weights = ", ".join(f"{percent} % to {number}" for number, percent in self.weights.items())
        shadows = ", ".join(str(number) for number in self.shadows)
        return text + (f"; traffic: {weights}" if weights else "") + (f"; shadow: {shadows}" if shadows else "")

    def same_as(self, other: Release | None) -> bool:
        """Whether two releases are equal but for the time of their creation."""
        return other is not None and self.model_dump(exclude={"created"}) == other.model_dump(exclude={"created"})

    def same_but_for_aliases(self, other: Release) -> bool:
        """Whether two releases serve the same versions to the same callers, whatever else the versions are called."""
        same_versions = set(self.versions) == set(other.versions)
        return same_versions and self.same_as(other.model_copy(update={"versions": self.versions}))


class Store:
    """A directory of versions and the current release."""

    def __init__(self, root: Path, admission: Admission | None = None) -> None:
        """`admission` decides which versions may be pulled; all may without it."""
        self.root = root
        self.admission = admission or Admission()
        #: Number, digest and run of the versions that were admitted.
        self._admitted: set[tuple[int, str, str]] = set()
        self._release, self._problem = root / "release.json", root / "problem.txt"
        #: By version, the digest last verified and the state of the files then.
        self._verified: dict[int, object] = {}

    def path(self, version: int) -> Path:
        """Return the folder of a version, whether it exists or not."""
        return self.root / "versions" / str(version)

    def pull(self, version: RegisteredVersion, download: Download) -> Path:
        """Return the folder of a version, downloaded unless it is here; a failed download leaves nothing behind.

        `UserError` if it is not admitted, wherever it is.
        """
        number, expected = version.number, version.digest
        target = self.path(number)
        if self.holds(number, expected):
            self._admit(version, target)
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, ".[0-9]*-*")
        sweep(self.root, f"{UNFINISHED}*")
        with scratch_folder(target.parent, f".{number}-") as scratch:
            download(number, scratch / "new")
            found = digest(scratch / "new")
            if found != expected:
                raise LostVersionError(
                    f"Version {number} was downloaded with digest {found[:12]}, but the registry has "
                    f"{expected[:12] or 'none'}: the download is incomplete, or the files were changed. Try again; "
                    "if that does not help, train a new version."
                )
            self._admit(version, scratch / "new")
            if target.exists():
                target.rename(scratch / "old")
            (scratch / "new").rename(target)
        return target

    def _admit(self, version: RegisteredVersion, folder: Path) -> None:
        """Raise `UserError` if a version is not admitted; `folder` has its digest, so once is enough."""
        key = version.number, version.digest, version.run_id
        if key not in self._admitted:
            self.admission.check(version, folder)
            self._admitted.add(key)

    def holds(self, version: int, expected: str) -> bool:
        """Whether a version is here with a digest; files that are unchanged since the last check are not read again."""
        # Another registry may have another version of the same number, so the number alone is not enough.
        folder = self.path(version)
        state = expected, _folder_state(folder)
        if self._verified.get(version) != state and folder.exists() and digest(folder) == expected:
            self._verified[version] = state
        return self._verified.get(version) == state

    def versions(self) -> list[int]:
        """Return the numbers of the versions in the store."""
        folders = (self.root / "versions").glob("*")
        return sorted(int(folder.name) for folder in folders if folder.name.isdigit())

    def remove(self, version: int) -> None:
        """Remove a version; a process that has loaded it keeps it in memory."""
        # Renamed first: an incomplete version must never stand under its number.
        aside = self.path(version).with_name(f".{version}-removed")
        self.path(version).rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    def load(self, version: int, expected: str = "") -> Artifact:
        """Return a version of the store; `UserError` if it does not have the expected digest or cannot be read."""
        if expected and digest(self.path(version)) != expected:
            raise UserError(
                f"The files of {self.path(version)} were changed after the release. Download them again: make deploy"
            )
        try:
            return Artifact(self.path(version))
        except (OSError, ValueError) as error:
            text = f"Version {version} cannot be read ({error}). Remove {self.path(version)} and run: make deploy"
            raise UserError(text) from error

    def release(self) -> Release | None:
        """Return the current release, None if there is none; `UserError` if release.json cannot be read."""
        try:
            return Release.model_validate_json(self._release.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
            text = f"{self._release} cannot be read: {reason}. Remove it and run: make deploy"
            raise UserError(text) from error

    def readable_release(self) -> Release | None:
        """Return the current release, None if there is none or release.json cannot be read: it will be replaced."""
        with suppress(UserError):
            return self.release()
        return None

    def required_release(self) -> Release:
        """Return the current release; `UserError` if there is none or release.json cannot be read."""
        release = self.release()
        if release is None:
            raise UserError(f"{self.root} holds no release to serve. Make one: make train && make deploy")
        return release

    def set_problem(self, problem: str) -> None:
        """Write why the release may not be in sync with the registry, "" if it is; services report it."""
        text = redact(problem).encode()[:PROBLEM_BYTES].ljust(PROBLEM_BYTES)
        if self._problem.exists() and self._problem.read_bytes() == text:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        self._problem.touch()
        # In place and always of one size: on a full disk there is no room for another file.
        with self._problem.open("r+b") as file:
            file.write(text)

    def problem(self) -> str:
        """Return the problem that was written last, "" if there is none."""
        try:
            return redact(self._problem.read_bytes().decode(errors="ignore").strip())
        except OSError:
            return ""

    def release_state(self) -> object:
        """Return a value that changes whenever the release is replaced."""
        return file_state(self._release)

    def write(self, release: Release | None) -> None:
        """Replace the release atomically; None removes it."""
        if release is None:
            self._release.unlink(missing_ok=True)
            return
        self.root.mkdir(parents=True, exist_ok=True)
        unfinished = self.root / f"{UNFINISHED}{os.getpid()}"
        try:
            unfinished.write_text(release.model_dump_json(indent=1) + "\n")
            unfinished.replace(self._release)
        finally:
            unfinished.unlink(missing_ok=True)


def _folder_state(folder: Path) -> list[tuple[str, FileState]]:
    """Return a value that changes when a file below a folder is written or replaced."""
    return [(str(path), file_state(path)) for path in sorted(folder.rglob("*"))]
