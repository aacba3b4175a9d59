"""What doctor finds about MLflow, of databases and of a server that requires credentials."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.findings import Finding
from titanic_survival.toolkit.registry import server_checks
from titanic_survival.toolkit.registry.client import connect

MODEL = "checked-model"


def check(uri: str, model: str = MODEL) -> list[Finding]:
    return list(server_checks.check(uri, model))


def test_database_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    [found] = check(f"sqlite:///{tmp_path}/mlflow.db")
    assert (found.level, found.text.endswith("yet; make train makes it")) == ("ok", True)
    assert list(tmp_path.iterdir()) == []


def test_database_with_a_version(project: config.Settings, tmp_path: Path) -> None:
    versions, artifacts = check(project.mlflow_tracking_uri, project.model_name)
    assert (versions.level, "1 version of " in versions.text) == ("ok", True)
    assert (artifacts.level, artifacts.text) == ("ok", f"files can be written to file://{tmp_path}/mlartifacts")
    assert list((tmp_path / "mlartifacts").rglob(server_checks.PROBE)) == []
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    registry.client.delete_registered_model_alias(project.model_name, "champion")
    _, nothing, _ = check(project.mlflow_tracking_uri, project.model_name)
    assert (nothing.level, nothing.text) == (
        "warning",
        f"no version of {project.model_name} is champion, so there is nothing to serve: make promote VERSION=1",
    )
    registry.set_alias("champion", 1)

    (tmp_path / "mlartifacts").rename(tmp_path / "aside")
    (tmp_path / "mlartifacts").touch()
    _, artifacts = check(project.mlflow_tracking_uri, project.model_name)
    assert (artifacts.level, artifacts.text.startswith("files cannot be written to")) == ("error", True)


def test_database_that_cannot_be_written(project: config.Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    access = os.access
    # Who runs the tests may be root, who may write everything.
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("mlflow.db") and access(path, mode))
    found, *_ = check(project.mlflow_tracking_uri, project.model_name)
    assert (found.level, "mlflow.db cannot be written: let this user write it" in found.text) == ("error", True)


@pytest.fixture
def server(guarded: Any, as_user: Callable[[tuple[str, str]], None], tmp_path: Path) -> Any:
    """Return a server with a version of the model, and a user who may read it."""
    as_user(guarded.admin)
    registry = connect(guarded.url, MODEL)
    if not registry.versions():
        experiment = registry.client.create_experiment(MODEL)
        run = registry.client.create_run(experiment)
        registry.client.create_registered_model(MODEL)
        registry.client.create_model_version(MODEL, run.info.artifact_uri, run.info.run_id)
        registry.set_alias("champion", 1)
        name, _ = guarded.user("looker")
        guarded.grant(name, "registered_model", MODEL, "READ")
        guarded.grant(name, "experiment", experiment, "READ")
    return guarded


def test_server_clock_and_version(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [found.level for found in check(server.url)] == ["ok", "ok"]
    now = server_checks.time.time
    for seconds, level in ((120, "warning"), (-400, "error")):
        monkeypatch.setattr(server_checks.time, "time", lambda seconds=seconds: now() + seconds)
        clock, *_ = check(server.url)
        assert (clock.level, "set them (NTP)" in clock.text) == (level, True), clock
    monkeypatch.undo()


def test_server_of_an_older_mlflow(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_checks.mlflow, "__version__", "99.0.0")
    old, *_ = check(server.url)
    assert (old.level, "and this project 99.0.0: update it" in old.text) == ("error", True)


def test_user_who_may_only_read(server: Any, as_user: Callable[[tuple[str, str]], None]) -> None:
    as_user(("looker", "a long password of looker"))
    versions, model, files = check(server.url)
    assert [versions.level, model.level, files.level] == ["ok", "warning", "warning"]
    assert "ask its administrator for EDIT permission on the registered model" in model.text
    assert "EDIT permission on the model's experiment" in files.text
    as_user(("looker", "a wrong password"))
    with pytest.raises(UserError, match="does not accept user 'looker'"):
        check(server.url)


def webhooks(monkeypatch: pytest.MonkeyPatch, *found: Any, fails: str = "", is_server: bool = True) -> Finding:
    """Return what is found where these webhooks are registered."""
    result = SimpleNamespace(success=not fails, error_message=fails, response_status=None)
    client = SimpleNamespace(list_webhooks=lambda max_results: found, test_webhook=lambda id: result)
    registry = SimpleNamespace(is_server=is_server, client=client)
    monkeypatch.setattr(server_checks, "connect", lambda uri, model: registry)
    [finding] = server_checks.check_webhook("http://mlflow", MODEL, "service")
    return finding


def test_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    own = SimpleNamespace(name="service", url="http://sync:3001", status="ACTIVE", webhook_id="1")
    disabled = SimpleNamespace(**{**vars(own), "status": "DISABLED"})
    foreign = SimpleNamespace(**{**vars(own), "name": "other"})
    assert webhooks(monkeypatch, own) == Finding("ok", "MLflow delivers to http://sync:3001")
    assert webhooks(monkeypatch, foreign).text.startswith("no webhook is registered, so sync polls: make sync")
    assert "is disabled: make sync ARGS='--register http://sync:3001'" in webhooks(monkeypatch, disabled).text
    assert "cannot deliver to http://sync:3001 (refused)" in webhooks(monkeypatch, own, fails="refused").text
    assert "is a database, which delivers nothing" in webhooks(monkeypatch, is_server=False).text


def test_user_who_may_not_see_webhooks(server: Any, as_user: Callable[[tuple[str, str]], None]) -> None:
    as_user(("looker", "a long password of looker"))
    [found] = server_checks.check_webhook(server.url, MODEL, "service")
    assert (found.level, "shows webhooks to administrators alone" in found.text) == ("warning", True)
