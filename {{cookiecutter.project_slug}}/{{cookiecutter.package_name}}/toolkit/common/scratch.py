"""Files and folders of a process' own, until it ends: locked while it lives, and swept after it was killed.

A lock ends with the process that holds it, whatever ends that process, so what is old and not locked belongs to nobody.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import UserError

#: What is younger is never swept: its process may be about to lock it, or may be of an older toolkit, without locks.
SWEEP_SECONDS = 3600


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for a lock on a file or folder, where its file system has locks, and hold it."""
    descriptor = _lock(path)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def alone(path: Path, message: str) -> Iterator[None]:
    """Hold a lock on a file or folder, where its file system has locks; `UserError` if another process has it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(message) from error
        except OSError:  # no locks here
            pass
        yield
    finally:
        os.close(descriptor)


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder whose name begins with a prefix, and remove it in the end; those of killed processes are swept."""
    sweep(parent, f"{prefix}*")
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def scratch_file(path: Path) -> Iterator[Path]:
    """Make a file beside a path, and remove it in the end if it is still there; those of killed processes are swept."""
    prefix, suffix = f".{path.name}.", ".part"
    sweep(path.parent, f"{_literal(prefix)}*{suffix}")
    descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=path.parent)
    os.close(descriptor)
    file = Path(name)
    try:
        # As any new file has them; mkstemp gives others no right to read it.
        file.chmod(0o666 & ~_umask())
        with locked(file):
            yield file
    finally:
        file.unlink(missing_ok=True)


def sweep(folder: Path, pattern: str) -> None:
    """Remove what matches a pattern in a folder, if it is this user's, old, and locked by no process."""
    for path in folder.glob(pattern):
        with suppress(OSError):
            found = path.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < SWEEP_SECONDS or path.is_symlink():
                continue
            descriptor = _lock(path, wait=False)
            if descriptor is None:
                continue
            try:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def _lock(path: Path, *, wait: bool = True) -> int | None:
    """Return a descriptor that holds a lock; None if that fails, or if another process has it and we do not wait."""
    descriptor = None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        if descriptor is not None:
            os.close(descriptor)
        return None
    return descriptor


def _literal(text: str) -> str:
    """Return a text as a pattern that matches nothing else."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
