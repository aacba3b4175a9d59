"""Synchronization: one round after another, without waiting."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
import pytest
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.release.synchronizer import Synchronizer


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    """Return a registry in which version 2 is champion; the store has version 1."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    client = mlflow.MlflowClient()
    first = client.get_model_version(project.model_name, "1")
    client.create_model_version(project.model_name, first.source, tags=first.tags)
    registry.set_alias("champion", 2)
    return registry


@pytest.fixture
def store(project: config.Settings) -> Store:
    return Store(project.store)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def synchronizer(project: config.Settings, registry: Registry, store: Store, clock: Clock) -> Synchronizer:
    """Return a synchronizer with an interval of 5 s and a grace time of 100 s."""
    return Synchronizer(registry.uri, registry.name, store, interval=5, grace=100, clock=clock)


def test_store_follows_the_registry(synchronizer: Synchronizer, registry: Registry, store: Store) -> None:
    for champion in (2, 1):
        registry.set_alias("champion", champion)
        assert synchronizer.step() == 5
        release = store.release()
        assert release is not None
        assert release.champion == champion


def test_unused_version_is_removed_after_the_grace_time(
    synchronizer: Synchronizer, registry: Registry, store: Store, clock: Clock
) -> None:
    for clock.now in (0, 99):
        synchronizer.step()
        assert store.versions() == [1, 2]
    clock.now = 100
    synchronizer.step()
    assert store.versions() == [2]


def test_grace_time_starts_again_after_a_rollback(
    synchronizer: Synchronizer, registry: Registry, store: Store, clock: Clock
) -> None:
    for clock.now, champion in ((0.0, 2), (90.0, 1), (95.0, 2), (150.0, 2)):
        registry.set_alias("champion", champion)
        synchronizer.step()
    assert store.versions() == [1, 2]
    clock.now = 195
    synchronizer.step()
    assert store.versions() == [2]


def test_failure_is_reported_once_and_tried_again_less_often(
    synchronizer: Synchronizer, registry: Registry, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    before = store.release()
    registry.client.delete_registered_model_alias(registry.name, "champion")
    assert [synchronizer.step() for _ in range(6)] == [10, 20, 40, 60, 60, 60]
    assert capsys.readouterr().out.count("no champion") == 1
    assert store.release() == before
    assert "no champion" in store.problem()
    registry.set_alias("champion", 2)
    assert synchronizer.step() == 5
    assert store.problem() == ""


def test_single_round_fails_with_the_problem(synchronizer: Synchronizer, registry: Registry, store: Store) -> None:
    registry.client.delete_registered_model_alias(registry.name, "champion")
    with pytest.raises(UserError, match="no champion"):
        synchronizer.round()
    assert "no champion" in store.problem()


def test_registry_that_is_down_at_the_start_is_connected_later(
    synchronizer: Synchronizer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(synchronizer, "_uri", "http://127.0.0.1:9")
        assert synchronizer.step() == 10
    assert "No MLflow server answers" in store.problem()
    assert synchronizer.step() == 5
    assert store.problem() == ""


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond a size: writing fails midway, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_leaves_the_release_and_is_reported_once(
    synchronizer: Synchronizer, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    before = store.release()
    with room_for(8_000):  # less than the files of a version, more than problem.txt
        for _ in range(3):
            synchronizer.step()
    assert capsys.readouterr().out.count("File too large") == 1
    assert "File too large" in store.problem()
    assert store.release() == before
    assert [path.name for path in (store.root / "versions").iterdir()] == ["1"]
    synchronizer.step()
    assert (store.versions(), store.problem()) == ([1, 2], "")
