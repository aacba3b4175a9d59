"""Commands against an MLflow server that gives nobody a permission by default, as users who are no administrators."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from titanic_survival import config, history, promote, sync, train
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.registry.errors import mlflow_errors
from titanic_survival.toolkit.release.store import Store

AsUser = Callable[[tuple[str, str]], None]


def settings_of(guarded: Any, folder: Path, name: str) -> config.Settings:
    return config.Settings(mlflow_tracking_uri=guarded.url, model_name=name, store=folder / "store")


def set_alias(settings: config.Settings) -> None:
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        registry.set_alias("mine", 1)


def test_first_training_of_a_user_without_any_permission_makes_the_model(
    guarded: Any, as_user: AsUser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_user(guarded.user("newcomer"))
    settings = settings_of(guarded, tmp_path, "newcomers-model")
    assert train.run(settings) == 1
    assert train.run(settings) == 2
    assert promote.run(settings, "1", "as a test") == 1
    sync.run(settings, once=True)
    release = Store(settings.store).release()
    assert release is not None
    assert release.champion == 1
    history.run(settings)
    assert "as a test" in capsys.readouterr().out
    found = connect(settings.mlflow_tracking_uri, settings.model_name)
    assert found.get("champion").number == 1

    # The files of the champion are lost: training goes on, and says that there was nothing to compare with.
    for description in list((guarded.folder / "files").rglob("MLmodel")):
        shutil.rmtree(description.parent)
    lost = settings.model_copy(update={"store": tmp_path / "another store"})
    capsys.readouterr()
    assert train.run(lost) == 3
    assert "nothing to compare with" in capsys.readouterr().out
    assert found.get("champion").number == 3


def test_missing_permission_is_named_with_what_it_is_needed_for(
    guarded: Any, as_user: AsUser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owner, reader = guarded.user("owner"), guarded.user("reader")
    settings = settings_of(guarded, tmp_path, "owners-model")
    as_user(owner)
    train.run(settings)
    experiment = connect(settings.mlflow_tracking_uri, settings.model_name).client.get_experiment_by_name(
        "owners-model"
    )
    assert experiment
    other = settings.model_copy(update={"store": tmp_path / "readers store"})

    as_user(reader)
    guarded.grant("reader", "registered_model", "owners-model", "READ")
    with pytest.raises(UserError, match=r"forbids this to reader.* READ permission on the model's experiment"):
        sync.run(other, once=True)
    with pytest.raises(UserError, match=r"EDIT permission on the registered model"):
        set_alias(other)

    guarded.grant("reader", "experiment", experiment.experiment_id, "READ")
    sync.run(other, once=True)
    with pytest.raises(UserError, match=r"EDIT permission on the model's experiment"):
        train.run(other)

    as_user(guarded.user("trainer"))
    guarded.grant("trainer", "experiment", experiment.experiment_id, "EDIT")
    capsys.readouterr()
    with pytest.raises(UserError, match=r"forbids this to trainer.* READ permission on the registered model") as raised:
        train.run(other)
    assert "model/" not in str(raised.value), "no file of the owner is blamed for what the server did"
    assert "load" not in capsys.readouterr().out, "before any work is done"
