"""A real PostgreSQL server on loopback, of the test's own, which it may stop, restart and fill."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER, PASSWORD = "ada", "sesame-0pen"
#: PostgreSQL does not run as root; Debian's package makes this user, and every system has the other.
USERS = ("postgres", "nobody")
SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "shared_buffers": "16MB"}


class PostgreSQL:
    """A server; `url` is the address of its database, with the password of a user who may do everything."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder = programs, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"postgresql://{USER}:{PASSWORD}@{self.host}/postgres"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = " ".join(f"-c {name}='{value}'" for name, value in (SETTINGS | {"port": str(self.port)}).items())
        self._run("pg_ctl", "--wait", "--log", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop the server at once, as a crash does."""
        self._run("pg_ctl", "--wait", "--mode", "immediate", "stop")

    def initialize(self) -> None:
        """Make the files of the database."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        more = ("--auth", "scram-sha-256", "--username", USER, "--pwfile", str(password), "--no-sync", "--locale", "C")
        self._run("initdb", *more, "--encoding", "UTF8")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "--pgdata", str(self.folder / "data"), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, user=_user(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
        )
        assert done.returncode == 0, (self.folder / "log").read_text() if program == "pg_ctl" else program


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, which Debian has not on the PATH; None if there is none."""
    found = shutil.which("initdb")
    paths = [Path(found).resolve().parent] if found else []
    return next(iter([*paths, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]), None)


def programs_or_skip() -> Path:
    """Return the folder of the programs; without PostgreSQL, skip the test, or fail if REQUIRE_TOOLS is set."""
    programs = find_programs()
    if programs is None:
        assert "REQUIRE_TOOLS" not in os.environ, "PostgreSQL is not installed"
        pytest.skip("PostgreSQL is not installed")
    return programs


@contextmanager
def postgresql_server(programs: Path) -> Iterator[PostgreSQL]:
    """Run a server with an empty database."""
    # Not in pytest's folder, which only the user who runs the tests may enter.
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    server = PostgreSQL(programs, folder)
    try:
        if user := _user():
            shutil.chown(folder, user)
        server.initialize()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> str | None:
    """Return the user that runs the server; None if it is the one who runs the tests."""
    if os.geteuid():
        return None
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in USERS if name in names)
