"""Environments made from a lock and from nothing else, to start in them what was built from it.

Each is kept under the digest of its lock, so only the first build after a change of the lock makes one.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from ..common.commands import run
from ..common.errors import UserError
from ..common.scratch import locked

#: Present in an environment that is complete.
COMPLETE = ".complete"


def python_of(lock: Path, folder: Path, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Return the interpreter of an environment with what a lock lists, made in a folder unless it is there.

    `UserError` has uv's last lines if the libraries cannot be installed.
    """
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = folder / f"{lock.stem}-{key}"
    python = home / "bin" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        # The interpreter is a link: where it leads to may have been removed since.
        if not (home / COMPLETE).exists() or not python.exists():
            for earlier in folder.glob(f"{lock.stem}-*"):
                shutil.rmtree(earlier)
            _make(home, lock, progress)
            (home / COMPLETE).touch()
    return python


def _make(home: Path, lock: Path, progress: Callable[[str], None]) -> None:
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise UserError(f"uv, which installs {lock.name}, is not in the environment of {sys.executable}: make setup")
    progress(f"an environment from {lock.name}, once")
    run([uv, "venv", "--python", sys.executable, str(home)])
    install = ["pip", "install", "--python", str(home / "bin" / "python"), "--require-hashes", "--compile-bytecode"]
    run([uv, *install, "--requirement", str(lock)], progress)
