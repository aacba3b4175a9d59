"""Which version stays warm: the previous champion, by the registry's history, for as long as the settings say."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from titanic_survival import config, promote
from titanic_survival.toolkit.registry import history
from titanic_survival.toolkit.registry.client import Registry
from titanic_survival.toolkit.release.admission import Admission
from titanic_survival.toolkit.release.approval import ApprovalRules
from titanic_survival.toolkit.release.reconcile import reconcile
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.release.synchronizer import Synchronizer
from titanic_survival.toolkit.release.warm_file import WarmFile
from titanic_survival.toolkit.release.warmer import Warmer

Warm = Callable[..., int | None]


@pytest.fixture
def registry(versions: Callable[[int], Registry]) -> Registry:
    """Return a registry of three versions with passed gates; no champion was recorded yet."""
    registry = versions(3)
    for key in registry.tags():
        registry.delete_tag(key)
    registry.set_alias("champion", 1)
    return registry


@pytest.fixture
def store(project: config.Settings) -> Store:
    return Store(project.store)


@pytest.fixture
def warm(registry: Registry, store: Store) -> Warm:
    """Return a function that reconciles the store as a sync does, and returns the version that stays warm."""

    def warm(seconds: float = 100) -> int | None:
        reconcile(registry, store, Warmer(store, seconds, pull=True))
        found = WarmFile(store.root).read()
        return found.number if found else None

    return warm


def aged(monkeypatch: pytest.MonkeyPatch, registry: Registry, seconds: float) -> None:
    """Let the last event in the history have been some seconds ago."""
    (key, (event, _)) = list(history.recorded(registry.tags()).items())[-1]
    when = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    registry.set_tag(key, history.tag_json(event._replace(when=when)._asdict(), "why"))


def test_champion_before_stays_warm_after_promotion_and_rollback(
    project: config.Settings, registry: Registry, warm: Warm, store: Store
) -> None:
    assert warm() is None
    promote.run(project, "2", "better")
    assert warm() == 1
    promote.run(project, "3", "better still")
    assert warm() == 2
    promote.roll_back(project, "worse")
    assert warm() == 3
    found = WarmFile(store.root).read()
    assert found
    (event, *_) = reversed(history.events(registry))
    assert (found.digest, found.until - event.moment) == (registry.get("3").digest, timedelta(seconds=100))


def test_release_is_the_same_with_and_without_a_warm_version(
    project: config.Settings, registry: Registry, warm: Warm, store: Store
) -> None:
    promote.run(project, "2", "better")
    assert warm() == 1
    release, text, state = store.release(), (store.root / "release.json").read_text(), store.release_state()
    assert set(release.versions) == {2}
    assert warm(seconds=0) is None
    assert not (store.root / "warm.json").exists()
    assert ((store.root / "release.json").read_text(), store.release_state()) == (text, state)


@pytest.mark.parametrize(("age", "expected"), [(90, 1), (101, None), (-3600, None)])
def test_time_of_the_promotion_counts(
    project: config.Settings,
    registry: Registry,
    warm: Warm,
    monkeypatch: pytest.MonkeyPatch,
    age: float,
    expected: int | None,
) -> None:
    promote.run(project, "2", "better")
    aged(monkeypatch, registry, age)
    assert warm() == expected


def test_version_that_is_served_anyway_is_not_warm(project: config.Settings, registry: Registry, warm: Warm) -> None:
    promote.run(project, "2", "better")
    registry.set_version_tags(1, {"serve": "true"})
    assert warm() is None


def test_alias_moved_in_mlflow_itself_keeps_what_was_served(registry: Registry, warm: Warm) -> None:
    assert warm() is None
    registry.set_alias("champion", 3)
    assert warm() == 1
    assert warm() == 1


def test_version_that_a_rollback_would_refuse_is_not_warm(
    project: config.Settings, registry: Registry, store: Store
) -> None:
    promote.run(project, "2", "better")
    promote.run(project.model_copy(update={"approval_required": True}), "2", "approved")
    approved_only = Store(store.root, Admission(approvals=ApprovalRules(required=True)))
    reconcile(registry, approved_only, Warmer(approved_only, 100))
    assert WarmFile(store.root).read() is None
    assert store.release().champion == 2


def test_version_that_cannot_be_pulled_is_tried_once_and_harms_nobody(
    project: config.Settings, registry: Registry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote.run(project, "2", "better")
    store.remove(1)
    registry.set_version_tags(1, {"digest": "0" * 64})
    pulls, download = list[int](), registry.download
    monkeypatch.setattr(registry, "download", lambda number, to: pulls.append(number) or download(number, to))
    warmer = Warmer(store, 100, pull=True)
    for _ in range(3):
        assert reconcile(registry, store, warmer).champion == 2
    assert (WarmFile(store.root).read(), pulls) == (None, [2, 1])


def test_file_that_cannot_be_written_is_said_once_and_harms_nobody(
    project: config.Settings, registry: Registry, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    promote.run(project, "2", "better")
    (store.root / "warm.json").mkdir()
    warmer = Warmer(store, 100)
    for _ in range(3):
        assert reconcile(registry, store, warmer).champion == 2
    said = capsys.readouterr().out
    assert said.count("warm.json cannot be written (Is a directory): a rollback loads its version.") == 1
    assert list(store.root.glob(".warm.json*")) == []
    (store.root / "warm.json").rmdir()
    reconcile(registry, store, warmer)
    found = WarmFile(store.root).read()
    assert found and found.number == 1


def test_deploy_pulls_no_version_for_later(project: config.Settings, registry: Registry, store: Store) -> None:
    promote.run(project, "2", "better")
    store.remove(1)
    reconcile(registry, store, Warmer(store, 100))
    assert (store.versions(), WarmFile(store.root).read()) == ([2], None)


def test_sync_keeps_the_files_of_the_warm_version(project: config.Settings, registry: Registry, store: Store) -> None:
    synchronizer = Synchronizer(registry.uri, registry.name, store, interval=5, grace=0, rollback_seconds=100)
    promote.run(project, "2", "better")
    synchronizer.round()
    assert store.versions() == [1, 2]
    aged(pytest.MonkeyPatch(), registry, 101)
    synchronizer.round()
    assert store.versions() == [2]


@pytest.mark.parametrize(
    ("when", "expected"), [("yesterday", 1), ("2026-01-01T00:00:00", 1), ("9999-12-31T23:59:59+00:00", None)]
)
def test_damaged_time_stops_nothing(
    registry: Registry, warm: Warm, store: Store, when: str, expected: int | None
) -> None:
    warm()
    event = history.move_champion(registry, 2, history.PROMOTED, "better")
    (key,) = history.recorded(registry.tags())
    registry.set_tag(key, history.tag_json(event._replace(when=when)._asdict(), "why"))
    assert warm() == expected  # of an event without a time no more is known than of none
    assert store.release().champion == 2
