"""Unix sockets, whatever the length of their path: the system takes about 100 bytes, folders can be longer."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError

LONGEST_PATH = 100


def listen_unix(path: Path) -> socket.socket:
    """Return a socket that listens at a path, open to this user alone; what was at the path is replaced."""
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        with _short(path) as short:
            bound.bind(short)
        bound.listen()
    except OSError as error:
        bound.close()
        raise UserError(
            f"{path.parent} cannot hold a Unix socket ({error.strerror}): set STORE to a folder on a local disk."
        ) from error
    finally:
        os.umask(mask)
    return bound


def connect_unix(path: Path, timeout: float) -> socket.socket:
    """Return a connection to the socket at a path; `OSError` if nothing listens there."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    try:
        with _short(path) as short:
            connection.connect(short)
    except OSError:
        connection.close()
        raise
    return connection


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a name of a path that is short enough for a socket."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
    elif sys.platform == "linux":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            yield f"/proc/self/fd/{folder}/{path.name}"
        finally:
            os.close(folder)
    else:
        # For the whole process, but only until the block ends.
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            yield path.name
        finally:
            os.chdir(before)
