"""Versions on this machine's disk, and the release that says which of them are served.

    store/versions/3/      a version; complete and verified, or not there at all
    store/release.json     what the service serves; replaced in one step
    store/problem.txt      why that may not be what the registry wants, blank if it is

The service reads nothing else, so it starts and runs while the registry is down.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..common.errors import UserError
from ..version.artifact import Artifact, digest

#: Size of problem.txt.
NOTE_BYTES = 2000

Download = Callable[[int, Path], None]
"""Fetches a version to a path that does not exist yet."""


class Release(BaseModel):
    """What is served: a champion, and versions beside it that callers may name or be given."""

    model: str
    champion: int
    #: Aliases by version number.
    versions: dict[int, tuple[str, ...]]
    digests: dict[int, str] = {}
    #: Percent of the callers by version number; empty if all are the champion's.
    shares: dict[int, int] = {}
    shadows: tuple[int, ...] = ()
    created: datetime

    @classmethod
    def now(cls, model: str, champion: int, versions: dict[int, tuple[str, ...]], **more: Any) -> Release:
        """Return a release made at this moment."""
        return cls(model=model, champion=champion, versions=versions, created=datetime.now(UTC), **more)

    def words(self) -> str:
        """Return what is served, as people write it."""
        names = [" = ".join([str(number), *aliases]) for number, aliases in sorted(self.versions.items())]
        text = f"version{'s' if len(names) > 1 else ''} {', '.join(names)}"
        shares = ", ".join(f"{percent} % to {number}" for number, percent in self.shares.items())
        shadows = ", ".join(str(number) for number in self.shadows)
        return text + (f"; {shares}" if shares else "") + (f"; in the shadow: {shadows}" if shadows else "")

    def same_as(self, other: Release | None) -> bool:
        """Whether two releases serve the same."""
        return other is not None and self.model_dump(exclude={"created"}) == other.model_dump(exclude={"created"})


class Store:
    """A directory of versions and one release."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._release, self._note = root / "release.json", root / "problem.txt"
        self._verified: dict[int, object] = {}

    def path(self, version: int) -> Path:
        """Return where a version lies, or would lie."""
        return self.root / "versions" / str(version)

    def pull(self, version: int, expected: str, download: Download) -> Path:
        """Return a version's folder, fetching it if need be; a broken download leaves no trace."""
        target = self.path(version)
        if self.holds(version, expected):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=target.parent))
        try:
            download(version, scratch / "new")
            found = digest(scratch / "new")
            if found != expected:
                raise UserError(
                    f"Version {version} arrived with digest {found[:12]}, the registry says {expected[:12] or 'none'}: "
                    "the download broke, or the files were changed. Try again; if it stays, train a new version."
                )
            if target.exists():
                target.rename(scratch / "old")
            (scratch / "new").rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return target

    def holds(self, version: int, expected: str) -> bool:
        """Whether a version lies here with a digest; files that nobody has touched since are not read again."""
        # Another registry may have a version of the same number, so the number alone says nothing.
        folder = self.path(version)
        state = expected, _state(folder)
        if self._verified.get(version) != state and folder.exists() and digest(folder) == expected:
            self._verified[version] = state
        return self._verified.get(version) == state

    def versions(self) -> list[int]:
        """Return the versions that lie in the store."""
        folders = (self.root / "versions").glob("*")
        return sorted(int(folder.name) for folder in folders if folder.name.isdigit())

    def remove(self, version: int) -> None:
        """Remove a version; what has it loaded keeps it."""
        # Renamed first: half a version must never lie under its number.
        aside = self.path(version).with_name(f".{version}-removed")
        self.path(version).rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    def load(self, version: int, expected: str = "") -> Artifact:
        """Return a version that lies in the store; `UserError` if it is not the one with an expected digest."""
        if expected and digest(self.path(version)) != expected:
            raise UserError(f"{self.path(version)} is not what was released: the files were changed. Deploy again.")
        try:
            return Artifact(self.path(version))
        except (OSError, ValueError) as error:
            text = f"Version {version} cannot be read ({error}). Remove {self.path(version)} and deploy again."
            raise UserError(text) from error

    def release(self) -> Release | None:
        """Return what is to be served, None if nothing was ever released here."""
        try:
            return Release.model_validate_json(self._release.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            text = f"{self._release} cannot be read: {error.errors()[0]['msg']}. Remove it and deploy again."
            raise UserError(text) from error

    def note(self, problem: str) -> None:
        """Say why the release may not be what the registry wants, "" if it is; services over this store repeat it."""
        text = problem.encode()[:NOTE_BYTES].ljust(NOTE_BYTES)
        if self._note.exists() and self._note.read_bytes() == text:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        self._note.touch()
        # In place and always of one size: a full disk has no room for another file.
        with self._note.open("r+b") as file:
            file.write(text)

    def noted(self) -> str:
        """Return what was noted last."""
        try:
            return self._note.read_bytes().decode(errors="ignore").strip()
        except OSError:
            return ""

    def mark(self) -> object:
        """Return something that changes whenever the release is replaced."""
        try:
            found = self._release.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino

    def write(self, release: Release | None) -> None:
        """Replace the release in one step; None takes it away."""
        if release is None:
            self._release.unlink(missing_ok=True)
            return
        self.root.mkdir(parents=True, exist_ok=True)
        unfinished = self.root / f".release.{os.getpid()}"
        try:
            unfinished.write_text(release.model_dump_json(indent=1) + "\n")
            unfinished.replace(self._release)
        finally:
            unfinished.unlink(missing_ok=True)


def _state(folder: Path) -> list[tuple[str, int, int, int]]:
    """Return something that changes when a file below a folder is written or replaced."""
    found = ((str(path), path.stat()) for path in sorted(folder.rglob("*")))
    return [(name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in found]
