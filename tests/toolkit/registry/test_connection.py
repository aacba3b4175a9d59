"""Opening the registry: what is wrong with its address or database is said in a sentence."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from titanic_survival import config, mlflow_ui
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.registry import client
from titanic_survival.toolkit.registry.connection import check_address


def test_first_connections_at_once_all_succeed(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom titanic_survival.toolkit.registry import client\n"
        "print(flush=True); sys.stdin.readline()\n"
        "client.connect(sys.argv[1], 'model').versions()\n"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/mlflow.db"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    several = [subprocess.Popen(command, cwd=config.ROOT, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for process in several:
        process.stdout.readline()  # MLflow is imported
    for process in several:
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in several:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()[-2000:]
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"], "no file of a lock stays"


def test_broken_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match=r"mlflow\.db cannot be used: .*file is not a database"):
        client.connect(f"sqlite:///{tmp_path}/mlflow.db", "model")


def test_database_that_was_cut_off_is_named(project: config.Settings) -> None:
    database = Path(project.mlflow_tracking_uri.removeprefix("sqlite:///"))
    os.truncate(database, database.stat().st_size // 2)
    with pytest.raises(UserError, match=r"cannot be used: .*malformed"):
        client.connect(project.mlflow_tracking_uri, project.model_name).versions()


def test_database_that_cannot_be_written_is_named_without_a_traceback(project: config.Settings) -> None:
    # In a process of its own: MLflow logs to the stream that it has found when it was imported.
    code = (
        "import sys\nfrom titanic_survival.toolkit.registry import client\n"
        "from titanic_survival.toolkit.registry.errors import mlflow_errors\n"
        "registry = client.connect(*sys.argv[1:])\n"
        "from sqlalchemy import event\nfrom sqlalchemy.engine import Engine\n"
        "event.listen(Engine, 'begin', lambda connection: connection.exec_driver_sql('PRAGMA query_only = 1'))\n"
        "with mlflow_errors(registry.uri): registry.set_tag('a', 'b')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, project.mlflow_tracking_uri, project.model_name],
        cwd=config.ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    *_, last = done.stderr.splitlines()
    assert "cannot be used: attempt to write a readonly database. Restore it" in last
    assert "ERROR mlflow" not in done.stderr


def test_database_that_is_a_folder_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("MLflow tries again for 100 s"))
    with pytest.raises(UserError, match=r"cannot be used: .*unable to open"):
        client.connect(f"sqlite:///{tmp_path}", "model")


def test_database_of_a_newer_mlflow_is_named(project: config.Settings) -> None:
    with sqlite3.connect(project.mlflow_tracking_uri.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'from the future'")
    with pytest.raises(UserError, match="from the future"):
        client.connect(project.mlflow_tracking_uri, project.model_name)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("postgresql+asyncpg://u:p@127.0.0.1:9/db", "needs asyncpg, which is not installed"),
        ("mysql://127.0.0.1:9/db", "needs MySQLdb, which is not installed.*MODEL in setup.py"),
        ("postgresql+nothing://127.0.0.1:9/db", "no such kind of database or driver"),
        ("http://user:pa/ss@host", "is no valid address.*%2F"),
        ("http://user:pa#ss@host", "is no valid address.*%23"),
        ("http://:5000", "is no valid address"),
    ],
)
def test_address_that_cannot_be_used_is_explained(uri: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        client.connect(uri, "model")


def test_usual_addresses_are_accepted() -> None:
    for uri in ("http://a", "https://u:p%2Fw@a.b:5000/c", "http://[::1]:5000", "databricks", "databricks://profile"):
        check_address(uri)


@pytest.mark.parametrize("name", ["what?", "a%20b", "100%"])
def test_folder_that_the_address_of_a_database_cannot_hold_is_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    settings = config.Settings(mlflow_tracking_uri=f"sqlite:///{folder}/mlflow.db")
    with pytest.raises(UserError, match="rename the folder"):
        mlflow_ui.run(settings, free_port())
    with pytest.raises(UserError) as raised:
        client.connect(settings.mlflow_tracking_uri, "model")
    assert all(
        word in str(raised.value) for word in (str(folder), f"character {'?' if '?' in name else '%'}", "rename")
    )
    assert list(tmp_path.rglob("*")) == [folder]
    # Options of a database, and characters that are encoded.
    check_address(f"sqlite:///{tmp_path}/mlflow.db?timeout=60/1")
    check_address(f"sqlite:///{tmp_path}/c%20d/mlflow.db")
