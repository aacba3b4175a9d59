"""Which trigger the settings mean, and what is said where they are incomplete."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from titanic_survival import config
from titanic_survival.shared import retraining
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry import retrainings
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.retraining.request import Request

ADDRESSES = {
    "github": "https://api.github.com/repos/ada/titanic/dispatches",
    "gitlab": "https://gitlab.example.com/api/v4/projects/1/trigger/pipeline",
    "airflow": "https://airflow.example.com/api/v2/dags/titanic/dagRuns",
    "webhook": "https://example.com/retrain",
}
REQUEST = Request.of("titanic", 1, 'the "fare" costs $5')


def settings(name: Any, **more: Any) -> config.Settings:
    return config.Settings(retrain_trigger=name, **more)


@pytest.mark.parametrize("name", ADDRESSES)
def test_trigger_of_the_settings(name: str) -> None:
    found = retraining.trigger(settings(name, retrain_url=ADDRESSES[name], retrain_token=SecretStr("x")))
    assert found is not None and found.name == name


def test_local_trigger_runs_the_training_of_this_project() -> None:
    found = retraining.trigger(settings("local"))
    assert vars(found)["_command"][1:] == ["-m", "titanic_survival", "train"]
    assert vars(found)["_folder"] == config.ROOT


def test_event_and_template_reach_their_triggers(tmp_path: Path) -> None:
    more = {"retrain_token": SecretStr("x"), "retrain_event": "fraud-retrain"}
    found = retraining.trigger(settings("github", retrain_url=ADDRESSES["github"], **more))
    assert vars(found)["_event"] == "fraud-retrain"
    (tmp_path / "body.json").write_text('["${reason}"]')
    more = {"retrain_template": tmp_path / "body.json"}
    found = retraining.trigger(settings("webhook", retrain_url=ADDRESSES["webhook"], **more))
    assert vars(found)["_template"] == ["${reason}"]


@pytest.mark.parametrize("name", ["github", "gitlab", "airflow"])
def test_token_that_is_not_set(name: str) -> None:
    with pytest.raises(UserError, match=f"RETRAIN_TOKEN is not set: RETRAIN_TRIGGER={name} needs"):
        retraining.trigger(settings(name, retrain_url=ADDRESSES[name]))


def test_without_a_trigger_the_reason_is_said_and_nothing_recorded(project: config.Settings) -> None:
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    outcome = retraining.act(project, registry, REQUEST)
    assert outcome.state == "reported"
    assert outcome.sentence == 'RETRAIN_TRIGGER is not set, so nothing is started: make train WHY="the fare costs 5"'
    wrong = project.model_copy(update={"retrain_trigger": "github"})
    assert retraining.act(wrong, registry, REQUEST).state == "failed"
    assert not [tag for tag in registry.tags() if tag.startswith(retrainings.PREFIX)]
