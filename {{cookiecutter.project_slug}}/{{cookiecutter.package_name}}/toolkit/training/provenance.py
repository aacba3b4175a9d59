"""Provenance of a version: the commit of its code.

Only what is in the project's folder counts, so projects that share a git repository do not change each other's images.
"""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def commit(folder: Path) -> str:
    """Return the last git commit that changed a folder, with "-dirty" if files of it differ; "none" without one.

    In an image it is the commit that the image was built from.
    """
    last = _last_commit(folder, "%H")
    if last is None:
        return os.environ.get("IMAGE_REVISION", "none")
    return last[:12] + ("-dirty" if _git(folder, "status", "--porcelain", "--", ".") else "")


def commit_time(folder: Path) -> datetime | None:
    """Return when the last commit that changed a folder was made, None where there is none."""
    seconds = _last_commit(folder, "%ct")
    return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC)


def repository(folder: Path) -> Path | None:
    """Return the top folder of the git repository that has a folder, None where there is none."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    return Path(top) if top else None


def _last_commit(folder: Path, form: str) -> str | None:
    return _git(folder, "log", "-1", f"--format={form}", "--", ".") or None


def tracked(folder: Path, path: str) -> list[Path]:
    """Return the files below a path of a folder that git has, relative to the folder."""
    return [Path(name) for name in (_git(folder, "ls-files", "-z", "--", path) or "").split("\0") if name]


def _git(folder: Path, *words: str) -> str | None:
    try:
        found = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
