"""A small version that doubles numbers, and a real PostgreSQL server."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from titanic_survival.toolkit.version.artifact import Artifact

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from doubling import Double, Prediction, Row
from postgresql_server import PostgreSQL, postgresql_server, programs_or_skip


@pytest.fixture
def double(save: Callable[..., Artifact]) -> Artifact:
    """Return a version that doubles an amount."""
    return save(Row, Prediction, Double(), [{"amount": 1.5, "code": "007"}])


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Return a server."""
    programs = programs_or_skip()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PG")]:
            patch.delenv(name)
        patch.setenv("PGPASSFILE", "/nonexistent")
        with postgresql_server(programs) as server:
            yield server


@pytest.fixture
def sql(postgresql: PostgreSQL) -> Iterator[Callable[[str], list[Any]]]:
    """Return a function that runs a statement and returns its rows; everything that the test makes is dropped."""
    import psycopg2

    connection = psycopg2.connect(postgresql.url)
    connection.autocommit = True

    def run(statement: str) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    yield run
    connection.close()
    with psycopg2.connect(postgresql.url) as last, last.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS public, sales CASCADE; CREATE SCHEMA public")
        cursor.execute("GRANT ALL ON SCHEMA public TO PUBLIC")
    last.close()
