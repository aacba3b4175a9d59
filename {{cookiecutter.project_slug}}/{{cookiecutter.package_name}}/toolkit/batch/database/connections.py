"""Databases: the address of a PostgreSQL server, a connection to it by Arrow's driver (ADBC), and what fails there.

Credentials are libpq's own: in the address, PGPASSWORD, ~/.pgpass, PGSERVICEFILE. No message repeats a password.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ...common.errors import UserError
from ...common.redaction import HIDDEN, redact

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

SCHEMES = ("postgresql://", "postgres://")
#: Parameters of libpq, each with the environment variable that sets it too. A server that is away, or a network that
#: is cut, fails within a minute; libpq's own defaults wait for hours.
PARAMETERS = {
    "connect_timeout": ("10", "PGCONNECT_TIMEOUT"),
    "keepalives_idle": ("30", ""),
    "keepalives_interval": ("10", ""),
    "keepalives_count": ("3", ""),
    "tcp_user_timeout": ("60000", ""),
    "fallback_application_name": ("batch-predict", "PGAPPNAME"),
}
#: What libpq says before the reason of an error.
PREFIXES = re.compile(r"^(?:[A-Z_]+: )?(?:\[libpq\] )?(?:.*?\bERROR: +|.*?\bFATAL: +|Failed to connect: )?", re.DOTALL)
LOST = re.compile(
    "(server closed|terminating|lost synchronization|no|could not receive data|could not send data).* connection"
    "|connection.* (lost|closed|reset)|SSL SYSCALL"
)
AUTHENTICATION = re.compile(r"password|authentication|no pg_hba.conf entry|role .* does not exist", re.IGNORECASE)


def is_database(address: str) -> bool:
    """Whether an INPUT or OUTPUT is the address of a database."""
    return address.startswith(SCHEMES)


def check_address(address: str) -> None:
    """Raise `UserError` for an address that libpq would misread, before it repeats a part of a password."""
    try:
        parts = urlsplit(address)
        valid = parts.port is None or parts.port > 0
    except ValueError:
        valid = False
    if not valid or re.search(r"%(?![0-9A-Fa-f]{2})", address) or address.rpartition("@")[0].count("@"):
        raise UserError(
            f"{redact(address)!r} is no valid address of a database. In a user or password, write / ? # @ % as "
            "%2F %3F %23 %40 %25; or set PGUSER and PGPASSWORD instead. For example: postgresql://db.example.com/sales"
        )


def name_of(address: str) -> str:
    """Return the host, port and database of an address, without credentials and options."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def connect(address: str) -> Connection:
    """Return a connection in which the first statement begins a transaction; closing it without commit rolls back.

    `UserError` if the server does not answer, or does not let the user in.
    """
    check_address(address)
    import adbc_driver_manager
    import adbc_driver_postgresql.dbapi

    given = {name for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)}
    added = [
        f"{name}={value}"
        for name, (value, variable) in PARAMETERS.items()
        if name not in given and variable not in os.environ
    ]
    uri = f"{address}{'&' if given else '?'}{'&'.join(added)}" if added else address
    try:
        return adbc_driver_postgresql.dbapi.connect(uri)
    except adbc_driver_manager.Error as error:
        reason = _reason(error).replace(" Is the server running on that host and accepting TCP/IP connections?", "")
        cure = "Is the server running, and does its firewall let this machine in? Check the address."
        if AUTHENTICATION.search(reason):
            cure = "Check user and password: in the address, PGUSER and PGPASSWORD, or ~/.pgpass (with mode 0600)."
        elif "SSL" in reason or "certificate" in reason:
            cure = "Check sslmode and sslrootcert in the address."
        elif "database" in reason and "does not exist" in reason:
            cure = "Check the name of the database, which is the last part of the address."
        raise UserError(f"{name_of(address)}: {_hide(reason, address)}. {cure}") from None


@contextmanager
def explain_errors(address: str, *, query: str = "", subject: str = "", effect: str = "") -> Iterator[None]:
    """Turn an error of the database into a `UserError`.

    `query` is the user's own statement, in which an error's position is shown; `subject` is what an error in a
    statement or in data is of; `effect` says what the error leaves, such as "Nothing was written.".
    """
    import adbc_driver_manager
    import pyarrow as pa

    try:
        yield
    except UserError:
        raise
    except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
        details = {_text(key): _text(value) for key, value in getattr(error, "details", None) or []}
        state = getattr(error, "sqlstate", None) or ""
        reason = details.get("PG_DIAG_MESSAGE_PRIMARY") or _reason(error)
        about = name_of(address)
        if query and (position := details.get("PG_DIAG_STATEMENT_POSITION")):
            about = f"QUERY, {_position(query, int(position))}"
        elif query or (subject and state[:2] in ("22", "42")):
            about = subject or "QUERY"
        text = f"{about}: {_hide(reason, address)}.{_cure(state, reason)}"
        raise UserError(f"{text} {effect}".rstrip()) from None


def quote(name: str) -> str:
    """Return a name as a quoted identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a constant of SQL, whatever `standard_conforming_strings` is."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"E'{escaped}'"


def _cure(state: str, reason: str) -> str:
    """Return what to do about an error of an SQLSTATE, with a space before it; "" if its reason says enough."""
    if LOST.search(reason) or state[:2] == "08" or state in ("57P01", "57P02", "57P03", "57P05", "25P03"):
        return " The connection was lost; run again when the server is there."
    cures = {
        "42501": " Ask the owner of the table for this right (GRANT).",
        "25006": " QUERY must only read: it is run in a read-only transaction.",
        "3F000": " Create the schema first.",
        "53100": " Make room on the database server.",
        "55P03": " Another transaction holds a lock; run again later.",
    }
    if "statement timeout" in reason:
        return " Allow it more time: add ?options=-cstatement_timeout%3D0 to the address."
    if "No space left on device" in reason:
        return cures["53100"]
    return cures.get(state, "")


def _reason(error: BaseException) -> str:
    """Return what libpq or the server says, in one line."""
    text = PREFIXES.sub("", str(error), count=1)
    lines = [line.strip() for line in text.splitlines()]
    kept = [
        line for line in lines if line and not line.startswith(("LINE ", "^", "Query was:", "CONTEXT:", ". SQLSTATE"))
    ]
    return " ".join(kept).partition(" . SQLSTATE")[0].rstrip(". ")


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _position(query: str, position: int) -> str:
    """Return line and column of a character, counted from 1, of a statement."""
    before = query[: position - 1]
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def _hide(text: str, address: str) -> str:
    """Return a text without the password of an address."""
    parts = urlsplit(address)
    given: dict[str, Any] = dict(parse_qsl(parts.query))
    for secret in (parts.password, unquote(parts.password or ""), given.get("password"), os.environ.get("PGPASSWORD")):
        if secret and len(secret) > 3:
            text = text.replace(secret, HIDDEN)
    return text
