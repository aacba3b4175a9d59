"""On an empty registry, each command names the one that comes first."""

from collections.abc import Callable
from pathlib import Path

import pytest
from titanic_survival import build, config, deploy, history, predict, promote, serve, sync
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.release.store import Store

Command = Callable[[config.Settings], object]
COMMANDS: dict[str, Command] = {
    "promote": lambda settings: promote.run(settings, "challenger", ""),
    "rollback": lambda settings: promote.roll_back(settings, ""),
    "history": history.run,
    "predict": lambda settings: predict.run(
        settings, str(config.ROOT / "rows.csv"), str(settings.store.parent / "predictions.csv"), "champion"
    ),
    "build": build.run,
    "serve": serve.run,
    "deploy": deploy.run,
    "plan": deploy.plan,
    "sync": lambda settings: sync.run(settings, once=True),
}


@pytest.fixture
def empty(project: config.Settings, monkeypatch: pytest.MonkeyPatch) -> config.Settings:
    """Return the settings of a project whose model was never trained, and whose store is empty."""
    monkeypatch.setattr(config, "ROOT", project.store.parent)
    (config.ROOT / "rows.csv").write_text("a,b\n1,2\n")
    Store(project.store).write(None)
    return project.model_copy(update={"model_name": "another"})


@pytest.mark.parametrize("command", COMMANDS)
def test_command_names_the_training(empty: config.Settings, command: str) -> None:
    with pytest.raises(UserError, match="make train"):
        COMMANDS[command](empty)


def test_status_names_the_training(empty: config.Settings, capsys: pytest.CaptureFixture[str]) -> None:
    deploy.status(empty)
    assert "First: make train" in capsys.readouterr().out


def test_undeploy_has_nothing_to_stop(empty: config.Settings, capsys: pytest.CaptureFixture[str]) -> None:
    deploy.undeploy(empty)
    assert "Nothing is deployed" in capsys.readouterr().out
    assert not (Path(empty.store) / "local.json").exists()
