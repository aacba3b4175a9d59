"""The loop that keeps the store in step."""

import mlflow
import pytest

from {{ cookiecutter.package_name }} import config, sync
from {{ cookiecutter.package_name }}.toolkit.errors import UserError
from {{ cookiecutter.package_name }}.toolkit.registry import Registry, connect
from {{ cookiecutter.package_name }}.toolkit.store import Store


class EnoughError(Exception):
    """Ends the loop."""


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    """Return a registry in which version 2 is champion, and a store that has version 1."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    client = mlflow.MlflowClient()
    first = client.get_model_version(project.model_name, "1")
    client.create_model_version(project.model_name, first.source, tags=first.tags)
    registry.point("champion", 2)
    return registry


def rounds(settings: config.Settings, count: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Run the loop some times and return its pauses."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == count:
            raise EnoughError

    monkeypatch.setattr(sync.time, "sleep", sleep)
    with pytest.raises(EnoughError):
        sync.run(settings)
    return pauses


def test_store_follows_the_registry(project: config.Settings, registry: Registry) -> None:
    sync.run(project, once=True)
    release = Store(project.store).release()
    assert release is not None
    assert release.champion == 2


def test_version_that_is_not_wanted_goes_after_the_grace_time(
    project: config.Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(project, 2, monkeypatch)
    assert Store(project.store).versions() == [1, 2]
    rounds(project.model_copy(update={"grace_seconds": 0}), 2, monkeypatch)
    assert Store(project.store).versions() == [2]


def test_failure_is_said_once_and_tried_again_less_often(
    project: config.Settings,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = Store(project.store).release()
    registry.drop("champion")
    pauses = rounds(project, 8, monkeypatch)
    assert pauses == [10, 20, 40, 60, 60, 60, 60, 60]
    assert capsys.readouterr().out.count("no champion") == 1
    assert Store(project.store).release() == before
    with pytest.raises(UserError, match="no champion"):
        sync.run(project, once=True)
