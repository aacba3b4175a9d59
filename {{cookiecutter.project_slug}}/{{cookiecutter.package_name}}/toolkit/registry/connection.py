"""The address of the registry: checked before it is used, and a database opened by one process at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from ..common.errors import UserError
from ..common.redaction import redact_address
from ..common.scratch import locked
from .errors import describe_database
from .local_server import SQLITE, artifact_folder

#: What MLflow and SQLAlchemy read as more than a character of a path, in the address of an SQLite database.
SPECIAL = "?%"


def check_address(uri: str) -> None:
    """Raise `UserError` if a tracking URI cannot be used, before a library repeats a part of its password."""
    address = redact_address(uri)
    if "://" not in uri and uri != "databricks":
        raise UserError(
            f"MLFLOW_TRACKING_URI {address!r} has no scheme: write http://{address} for a server, or "
            "sqlite:////absolute/path.db for a database."
        )
    if uri.startswith(SQLITE):
        _check_folder(Path(uri.removeprefix(SQLITE)).parent)
    if not uri.startswith(("http://", "https://")):
        return
    try:
        parts = urlsplit(uri)
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise UserError(
            f"MLFLOW_TRACKING_URI {address!r} is no valid address. In a user or password, write / ? # @ as "
            "%2F %3F %23 %40; or set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead."
        )


def _check_folder(folder: Path) -> None:
    """Raise `UserError` for a folder of a database whose path MLflow would read as another one.

    One that does not exist as it is written may be meant: with options after a `?`, or with `%20` for a space.
    """
    special = next((character for character in str(folder) if character in SPECIAL), None)
    if special and folder.is_dir():
        raise UserError(
            f"The path of the folder {folder} has the character {special}, which the address of MLflow's database in "
            f"it cannot have: rename the folder to one without {' and '.join(SPECIAL)}, or set MLFLOW_TRACKING_URI to "
            "an MLflow server."
        )


@contextmanager
def alone_with(uri: str) -> Iterator[None]:
    """Hold a lock on the folder of an SQLite database: MLflow makes its tables, and two processes at once fail.

    `UserError` names a driver that the database needs and that is not installed, or a file that cannot be opened.
    """
    folder = artifact_folder(uri)
    try:
        with locked(folder.parent) if folder else nullcontext():
            if folder:
                _open(uri)
            yield
    except ModuleNotFoundError as error:
        if uri.startswith("http"):
            raise
        raise UserError(
            f"The database at {uri} needs {error.name}, which is not installed: add it to the list MODEL in setup.py, "
            "then make lock and make setup."
        ) from error


def _open(uri: str) -> None:
    """Open an SQLite database once: where that fails, MLflow would try again for 100 s, without a word."""
    path = make_url(uri).database
    if not path or not Path(path).parent.is_dir():
        return
    try:
        with closing(sqlite3.connect(path)):
            pass
    except sqlite3.Error as error:
        raise UserError(describe_database(uri, error)) from error
