"""Provenance of a version: its commit."""

from __future__ import annotations

import subprocess
<<<<<<< HEAD
=======
from datetime import UTC, datetime
from importlib.metadata import version
>>>>>>> acbe6c0 (Build a container image of the service and its release)
from pathlib import Path


def commit(folder: Path) -> str:
    """Return the git commit of a folder, with "-dirty" if files differ from it; "none" where there is no commit."""
    try:
        git = ["git", "-C", str(folder)]
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return head.stdout.strip() + ("-dirty" if changes.stdout else "")
<<<<<<< HEAD
=======


def commit_time(folder: Path) -> datetime | None:
    """Return when the git commit of a folder was made, None where there is no commit."""
    try:
        show = ["git", "-C", str(folder), "show", "--no-patch", "--format=%ct", "HEAD"]
        found = subprocess.run(show, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return datetime.fromtimestamp(int(found.stdout), UTC)


def requirements() -> list[str]:
    """Return what loading a version needs, pinned to what is installed here."""
    return [f"{name}=={version(name)}" for name in LOADING]
>>>>>>> acbe6c0 (Build a container image of the service and its release)
