"""The state of a file, to notice that it was written or replaced without reading it."""

from __future__ import annotations

from pathlib import Path

FileState = tuple[int, int, int] | None


def file_state(path: Path) -> FileState:
    """Return a value that changes when a file or folder is written or replaced; None if it cannot be read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
