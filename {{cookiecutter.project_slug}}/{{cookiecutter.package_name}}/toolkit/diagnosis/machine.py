"""This machine: Python, libraries, git, disks."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..common.errors import UserError, explain_os_errors
from ..common.findings import Finding, error, ok, warning
from ..training.provenance import commit, repository, tracked

OLDEST_PYTHON = (3, 11)
#: Bytes that are free: below the first, the next training or download is likely to fail; below the second, soon.
TOO_FULL, NEARLY_FULL = 100_000_000, 1_000_000_000
#: What a file system must take to count as writable; a full one creates files, but takes no content.
PROBE_BYTES = 4096
#: Files with secrets, which are no part of a repository.
SECRETS = (".env", "tokens")


def python(root: Path) -> Iterator[Finding]:
    """Check that the environment of the project runs this, by a Python that is new enough."""
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        yield error(f"{sys.executable} is {version}, but {needed} is needed: make clean, then make setup PYTHON=...")
    elif not _is_environment_of(root) and "IMAGE_ENVIRONMENT" not in os.environ:
        yield warning(f"{version} in {sys.prefix}, which is not the project's environment: make setup makes .venv")
    else:
        yield ok(version)


def _is_environment_of(root: Path) -> bool:
    return Path(sys.prefix).resolve() == (root / ".venv").resolve()


def git(root: Path) -> Iterator[Finding]:
    """Check that versions can be traced to a commit, and that no secret is in the repository."""
    if "IMAGE_REVISION" in os.environ:
        return
    if repository(root) is None:
        yield warning("no repository, so versions name no commit: git init && git add . && git commit -m Begin")
        return
    for name in SECRETS:
        if tracked(root, name):
            yield error(f"{name} is in the repository, with its secrets: git rm --cached {name}, and change them")
    found = commit(root)
    if found == "none":
        yield warning("no commit, so versions name none: git add . && git commit -m Begin")
    elif found.endswith("-dirty"):
        yield warning(f"files differ from commit {found.removesuffix('-dirty')}, to which a version is traced: commit")
    else:
        yield ok(f"commit {found}")


def disks(folders: Iterable[Path]) -> Iterator[Finding]:
    """Check that folders, of which some may not exist yet, can be written and have room."""
    by_device: defaultdict[int, list[Path]] = defaultdict(list)
    for folder in [*folders, Path(tempfile.gettempdir())]:
        place = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
        if place not in (found := by_device[place.stat().st_dev]):
            found.append(place)
    for places in by_device.values():
        yield _room(places)
        for place in places:
            yield from _unwritable(place)


def _room(places: list[Path]) -> Finding:
    found = os.statvfs(places[0])
    free = found.f_bavail * found.f_frsize
    text = f"{free / 1e9:.1f} GB free for {', '.join(map(str, places))}"
    if found.f_files and not found.f_favail:
        return error(f"no more files can be made in {', '.join(map(str, places))}: remove some")
    if free < TOO_FULL:
        return error(f"{text}: make room; make clean removes what can be made again")
    return warning(f"{text}: make room soon") if free < NEARLY_FULL else ok(text)


def _unwritable(folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        yield error(f"{folder} is no folder: remove it, or set another place")
        return
    try:
        with explain_os_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE_BYTES))
    except UserError as problem:
        yield error(str(problem))
