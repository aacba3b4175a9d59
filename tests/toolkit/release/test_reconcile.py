"""The release that the registry asks for, and reconciliation of the store with it."""

from collections.abc import Callable

import mlflow
import pytest
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry.client import Registry
from titanic_survival.toolkit.release.desired import desired_release
from titanic_survival.toolkit.release.reconcile import pull_release, reconcile
from titanic_survival.toolkit.release.store import Store

Tag = Callable[[str, str], None]


@pytest.fixture
def registry(versions: Callable[[int], Registry]) -> Registry:
    """Return a registry of three versions, of which 2 is champion and 3 challenger."""
    registry = versions(3)
    registry.set_alias("champion", 2)
    registry.set_alias("challenger", 3)
    return registry


@pytest.fixture
def tag(registry: Registry) -> Tag:
    """Return a function that tags the registered model, as a person does in MLflow's interface."""

    def tag(name: str, text: str) -> None:
        mlflow.MlflowClient().set_registered_model_tag(registry.name, name, text)

    return tag


def test_champion_alone_is_served_by_default(registry: Registry) -> None:
    release = desired_release(registry)
    assert (release.champion, release.versions, release.weights, release.shadows) == (2, {2: ("champion",)}, {}, ())


def test_version_tagged_to_serve_stays_beside_the_champion(registry: Registry) -> None:
    registry.set_version_tags(1, {"serve": "true"})
    assert set(desired_release(registry).versions) == {1, 2}
    registry.set_version_tags(1, {"serve": "false"})
    assert set(desired_release(registry).versions) == {2}


def test_versions_with_traffic_or_shadow_are_released_too(registry: Registry, tag: Tag) -> None:
    tag("traffic", "champion=90, challenger=10")
    tag("shadow", "1")
    release = desired_release(registry)
    assert (release.weights, release.shadows) == ({2: 90, 3: 10}, (1,))
    assert set(release.versions) == {1, 2, 3}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("traffic", "champion=90,challenger=20", "add up to 110"),
        ("traffic", "champion", "in percent"),
        ("traffic", "champion=-10,challenger=110", "in percent"),
        ("traffic", "champion=90,8=10", "no version '8'"),
        ("shadow", "contender", "no version 'contender'"),
    ],
)
def test_tag_that_cannot_be_used_is_named(registry: Registry, tag: Tag, name: str, text: str, said: str) -> None:
    tag(name, text)
    with pytest.raises(UserError, match=f"tag {name}.*{said}"):
        desired_release(registry)


def test_pull_makes_the_champion_the_current_release(project: config.Settings, registry: Registry) -> None:
    store = Store(project.store)
    release = pull_release(project.mlflow_tracking_uri, project.model_name, store)
    assert (release.champion, release.versions) == (2, {2: ("champion",)})
    assert store.release() == release
    store.load(2).verify()


def test_registry_without_a_champion_names_the_next_command(project: config.Settings, registry: Registry) -> None:
    registry.client.delete_registered_model_alias(registry.name, "champion")
    with pytest.raises(UserError, match="make promote VERSION=3"):
        pull_release(project.mlflow_tracking_uri, project.model_name, Store(project.store))
    with pytest.raises(UserError, match="make train"):
        pull_release(project.mlflow_tracking_uri, "another", Store(project.store))


def test_reconciling_pulls_every_version_and_again_changes_nothing(
    project: config.Settings, registry: Registry, tag: Tag
) -> None:
    store = Store(project.store)
    tag("traffic", "champion=50,challenger=50")
    release = reconcile(registry, store)
    assert set(release.versions) <= set(store.versions())
    mark = store.release_state()
    assert reconcile(registry, store).same_as(release)
    assert store.release_state() == mark


def test_version_changed_on_disk_is_pulled_again_and_released_again(
    project: config.Settings, registry: Registry
) -> None:
    store = Store(project.store)
    first = reconcile(registry, store)
    (store.path(2) / "details.json").write_text("{}")
    second = reconcile(registry, store)
    assert store.holds(2, second.digests[2])
    assert second.same_as(first)
    assert second.created > first.created
    (store.root / "release.json").write_text("{")
    assert reconcile(registry, store).same_as(first)


def test_failed_download_leaves_the_release(project: config.Settings, registry: Registry) -> None:
    store = Store(project.store)
    before = store.release()
    registry.set_version_tags(2, {"digest": "0" * 64})
    with pytest.raises(UserError, match="digest"):
        reconcile(registry, store)
    assert store.release() == before
    assert not store.path(2).exists()
