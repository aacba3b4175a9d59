"""Provenance of a version: the commit of its code."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path


def commit(folder: Path) -> str:
    """Return the git commit of a folder, with "-dirty" if files differ from it; "none" where there is no commit."""
    head = _git(folder, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return "none"
    return head + ("-dirty" if _git(folder, "status", "--porcelain") else "")


def commit_time(folder: Path) -> datetime | None:
    """Return when the git commit of a folder was made, None where there is no commit."""
    seconds = _git(folder, "show", "--no-patch", "--format=%ct", "HEAD")
    return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC)


def _git(folder: Path, *words: str) -> str | None:
    try:
        found = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
