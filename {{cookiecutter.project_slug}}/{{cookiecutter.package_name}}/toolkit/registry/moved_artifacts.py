"""Addresses of files in an SQLite database: MLflow writes them absolute, so they are corrected after a move.

A database and the folder of its artifacts lie side by side. After a move or a copy, experiments would else keep the
folder before, and new runs would write there; and runs and versions would, whose files came along.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from ..common import console
from ..common.errors import UserError
from .local_server import SQLITE, artifact_folder

#: The tables and columns that have such addresses.
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
FILE = "file://"


def correct_addresses(uri: str) -> None:
    """Correct the addresses of files that were moved or copied with the database at a tracking URI, and say so.

    An experiment's address follows the database, so that new runs are written beside it. Another address stays if its
    file is only where it says. `UserError` if the database cannot be written.
    """
    artifacts, database = artifact_folder(uri), Path(uri.removeprefix(SQLITE))
    if artifacts is None or not database.exists():
        return
    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            for old in _folders(connection, artifacts):
                with connection:
                    count = sum(_correct(connection, *column, old, artifacts) for column in COLUMNS)
                if count:
                    console.say(
                        f"The folder of {database.name} was {old} before: {count} addresses in it were corrected."
                    )
    except sqlite3.Error as error:
        raise UserError(
            f"{database} was moved, and the addresses in it cannot be corrected ({error}): let this user write it, or "
            "restore it from a copy."
        ) from error


def _folders(connection: sqlite3.Connection, artifacts: Path) -> list[Path]:
    """Return the folders that the database was moved or copied from, the innermost first.

    Those of runs too: their files may follow when the experiment's address has been corrected already.
    """
    found: set[Path] = set()
    for table, column in COLUMNS[:2]:
        for _, address in _addresses(connection, table, column):
            path = _path(address)
            if path.is_absolute() and not path.is_relative_to(artifacts):
                found.update([folder.parent for folder in (path, *path.parents) if folder.name == artifacts.name][:1])
    return sorted(found, key=lambda folder: len(folder.parts), reverse=True)


def _correct(connection: sqlite3.Connection, table: str, column: str, old: Path, artifacts: Path) -> int:
    """Correct one column, and return the number of addresses that were."""
    changes, new = [], artifacts.parent
    # A copy may lie in the folder of the original.
    own = new if new.is_relative_to(old) else artifacts
    for row, address in _addresses(connection, table, column):
        path = _path(address)
        if not path.is_relative_to(old) or path.is_relative_to(own):
            continue
        moved = new / path.relative_to(old)
        follows = table == "experiments" and path.is_relative_to(old / artifacts.name)
        if follows or moved.exists() or not path.exists():
            changes.append((moved.as_uri() if address.startswith(FILE) else str(moved), row))
    # SQLite looks for the table even if there is nothing to change in it; MLflow's older databases lack some.
    if changes:
        connection.executemany(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", changes)
    return len(changes)


def _addresses(connection: sqlite3.Connection, table: str, column: str) -> Iterator[tuple[int, str]]:
    """Yield the addresses in a column, by row; nothing if this database does not have it."""
    if any(column == found for _, found, *_ in connection.execute(f"PRAGMA table_info({table})")):
        yield from connection.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall()


def _path(address: str) -> Path:
    """Return the path of an address, a relative one if it is of another kind."""
    return Path(unquote(address.removeprefix(FILE))) if address.startswith(FILE) else Path(address)
