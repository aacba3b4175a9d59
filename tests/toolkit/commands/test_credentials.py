"""Credentials in addresses reach the server, and nothing that people read or that is recorded."""

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from mlflow.tracking.context import git_context, registry
from starlette.testclient import TestClient
from titanic_survival import config, history, predict, sync, train
from titanic_survival.model import data
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.redaction import redact
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.release.synchronizer import Synchronizer
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.scoring import Scorer

TOKEN = "ghp_0123456789abcdefghij"


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have MLflow find a git repository whose remote has a token in its address."""
    folder = tmp_path / "clone"
    for words in (
        ["init", "-q", str(folder)],
        ["-C", str(folder), "remote", "add", "origin", f"https://{TOKEN}@github.com/o/r.git"],
        ["-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *words], check=True)
    (folder / "main.py").touch()
    providers = [p for p in registry._run_context_provider_registry if isinstance(p, git_context.GitRunContext)]
    for provider in providers:
        provider._cache.clear()
    monkeypatch.setattr(git_context, "_get_main_file", lambda: str(folder / "main.py"))
    yield
    for provider in providers:
        provider._cache.clear()


def files_with(secret: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_nothing_shows_the_password_of_the_tracking_uri_or_the_token_of_a_remote(
    guarded: Any, remote: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, password = guarded.user("by-address")
    uri = guarded.url.replace("://", f"://{name}:{quote(password)}@")
    secrets = (password, quote(password), quote(quote(password)), TOKEN)
    settings = config.Settings(mlflow_tracking_uri=uri, model_name="by-address", store=tmp_path / "store")
    train.run(settings)
    rows = tmp_path / "rows.csv"
    data.load().head(3).to_csv(rows, index=False)
    predict.run(settings, str(rows), str(tmp_path / "out.csv"), "champion")
    sync.run(settings, once=True)
    history.run(settings)

    # A server that is away: the message, the problem in the store, and what the service shows of it.
    away = settings.mlflow_tracking_uri.replace(guarded.url.rpartition(":")[2], "9")
    with pytest.raises(UserError, match="No MLflow server answers at http://\\*\\*\\*@127") as raised:
        Synchronizer(away, settings.model_name, Store(settings.store), interval=1, grace=1).round()
    live = LiveRelease(settings.store)
    live.load()
    live.follow()
    feedback = LogFile(tmp_path / "log", "feedback", 1_000_000)
    routes = app.Routes(Scorer(live, Limits(10, 1000)), feedback, title="", description="")
    shown = TestClient(app.ScoringMiddleware(routes._predict, routes)).get("/readyz").text
    assert "http://***@127.0.0.1" in shown
    captured = capsys.readouterr()
    for secret in secrets:
        assert secret not in captured.out + captured.err + str(raised.value) + shown + Store(settings.store).problem()
        assert files_with(secret, settings.store) == []
        assert files_with(secret, guarded.folder / "files") == []
    assert files_with(TOKEN, guarded.folder) == [], "neither as a tag of a run, nor of a model"
    assert files_with("github.com/o/r.git", guarded.folder), "the remote itself is recorded"


def test_password_in_an_old_problem_is_not_shown(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.set_problem("x")
    (tmp_path / "problem.txt").write_text("No MLflow server answers at http://user:secret@host".ljust(2000))
    assert store.problem() == "No MLflow server answers at http://***@host"


@pytest.mark.parametrize(
    "uri",
    [
        "user:secret@host:5000",
        "http://user:secret@127.0.0.1:9",
        "http://user:sec/ret@127.0.0.1:9",
        "http://user:sec?ret@127.0.0.1:9",
        "postgresql://user:secret@127.0.0.1:9/db",
        "mysql://user:sec%2Fret@127.0.0.1:9/db",
        "postgresql+nothing://user:secret@127.0.0.1:9/db",
        "no-such-scheme://user:secret@127.0.0.1:9/db",
        "http://user:secret@[",
    ],
)
def test_no_message_has_a_password_whatever_is_wrong_with_the_address(uri: str) -> None:
    with pytest.raises(UserError) as raised:
        connect(uri, "model")
    shown = redact("".join(traceback.format_exception(raised.value)))
    for part in ("secret", "sec/ret", "sec?ret", "sec%2Fret", "user:"):
        assert part not in str(raised.value)
        assert part not in shown
    assert "***@" in str(raised.value)


def test_traceback_of_debug_has_no_password(tmp_path: Path) -> None:
    uri = "no-such-scheme://user:secret@127.0.0.1:9/db"
    env = os.environ | {"MLFLOW_TRACKING_URI": uri, "STORE": str(tmp_path), "DEBUG": "1"}
    done = subprocess.run(
        [sys.executable, "-m", config.PACKAGE, "history"], env=env, cwd=config.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "secret" not in done.stdout + done.stderr
