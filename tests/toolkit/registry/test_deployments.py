"""Which version ran where, from when to when; failed rollouts; and two writers at once."""

import threading

import mlflow
import pytest
from titanic_survival import config
from titanic_survival import history as show_history
from titanic_survival.toolkit.registry import deployments
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release.deployment_history import DeploymentHistory, attempt
from titanic_survival.toolkit.release.store import Release

IMAGE = "registry.example.com/titanic@sha256:" + 64 * "a"


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    """Return a registry of two versions."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    first = registry.client.get_model_version(project.model_name, "1")
    registry.client.create_model_version(project.model_name, first.source)
    return registry


@pytest.fixture
def history(registry: Registry) -> DeploymentHistory:
    return DeploymentHistory(registry.uri, registry.name, "kubernetes", "staging/models")


def release(number: int) -> Release:
    return Release.now("titanic", number, {number: ("champion",)})


def test_deployment_ends_with_the_next_event_at_its_place(registry: Registry, history: DeploymentHistory) -> None:
    other = DeploymentHistory(registry.uri, registry.name, "local", "host:3000")
    history.deployed(release(1), IMAGE)
    other.deployed(release(1))
    history.deployed(release(2), IMAGE)
    history.removed()
    events = deployments.events(registry)
    assert [(e.action, e.champion, e.image) for e in events] == [
        ("deployed", 1, IMAGE),
        ("deployed", 1, ""),
        ("deployed", 2, IMAGE),
        ("removed", 0, ""),
    ]
    assert all(e.who and e.when.endswith("+00:00") for e in events)
    periods = deployments.periods(events)
    assert [(e.champion, e.target, bool(until)) for e, until in periods] == [
        (1, "kubernetes", True),
        (1, "local", False),
        (2, "kubernetes", True),
    ]
    assert [periods[0][1], periods[2][1]] == [events[2].when, events[3].when]


def test_deployment_that_changes_nothing_is_not_recorded_again(registry: Registry, history: DeploymentHistory) -> None:
    for _ in range(2):
        history.deployed(release(1), IMAGE)
    assert len(deployments.events(registry)) == 1
    history.removed()
    history.deployed(release(1), IMAGE)
    assert len(deployments.events(registry)) == 3


def test_two_writers_at_once_lose_nothing(registry: Registry) -> None:
    places = [f"host{number}" for number in range(8)]
    writers = [
        threading.Thread(
            target=DeploymentHistory(registry.uri, registry.name, "local", place).deployed, args=[release(1)]
        )
        for place in places
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(event.place for event in deployments.events(registry)) == places


def test_failed_rollout_is_a_tag_of_the_new_version_until_it_is_deployed(
    registry: Registry, history: DeploymentHistory
) -> None:
    reason = 'the container ends: \n\t"again"\n' * 1000
    history.failed(release(2), release(1), "abc", reason)
    (failure,) = deployments.failures(registry.get("2"))
    assert (failure.target, failure.place, failure.attempt) == ("kubernetes", "staging/models", "abc")
    assert reason.startswith(failure.reason) and len(failure.reason) > 1000
    assert deployments.failures(registry.get("1")) == []
    (tag,) = [key for key in registry.get("2").tags if key.startswith("deployment.failed.")]
    assert tag == "deployment.failed.kubernetes.staging-models"
    history.deployed(release(2))
    assert deployments.failures(registry.get("2")) == []


def test_champion_is_tagged_if_no_version_is_new(registry: Registry, history: DeploymentHistory) -> None:
    history.failed(release(1), release(1), "abc", "no")
    assert len(deployments.failures(registry.get("1"))) == 1


def test_tag_that_somebody_wrote_by_hand_is_left_out(registry: Registry, history: DeploymentHistory) -> None:
    registry.set_tag("deployment.20260101T000000.000000.0000", "mine")
    registry.set_tag("deployment.20260101T000000.000000.0001", "[]")
    registry.set_tag("deployment.20260101T000000.000000.0002", '{"when": "today"}')
    history.deployed(release(1))
    assert [event.champion for event in deployments.events(registry)] == [1]


def test_registry_that_is_away_is_reported_and_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    history = DeploymentHistory("http://127.0.0.1:9", "titanic", "local", "host")
    history.deployed(release(1))
    history.removed()
    history.failed(release(1), None, "", "no")
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("is missing in the registry's history: No MLflow server answers at http://127.0.0.1:9") == 3


def test_attempt_differs_by_release_and_image_but_not_by_time() -> None:
    assert attempt(release(1), IMAGE) == attempt(release(1), IMAGE)
    assert len({attempt(release(1), IMAGE), attempt(release(2), IMAGE), attempt(release(1), "other")}) == 3


def test_history_prints_deployments_and_failures(
    project: config.Settings, registry: Registry, history: DeploymentHistory, capsys: pytest.CaptureFixture[str]
) -> None:
    history.deployed(release(1), IMAGE)
    history.failed(release(2), release(1), "abc", "Pod x: it crashed")
    show_history.run(project)
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if "staging/models" in line)
    assert "version 1 = champion" in line and "now" in line and 64 * "a" in line
    assert "The rollout of version 2 failed (kubernetes staging/models" in said and "it crashed" in said


def test_long_release_fits_into_a_tag(registry: Registry, history: DeploymentHistory) -> None:
    many = Release.now("titanic", 1, {number: (f"alias-{number}",) for number in range(1, 100)})
    history.deployed(many, IMAGE)
    assert deployments.events(registry)[0].serves == many.summary()
    assert mlflow.MlflowClient().get_registered_model(registry.name).tags
