"""What the registry wants served: the aliases and tags that steer a release."""

from collections.abc import Callable

import mlflow
import pytest
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release.desired import converge, desired
from titanic_survival.toolkit.release.store import Store

Tag = Callable[[str, str], None]


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    """Return a registry of three versions, of which 2 is champion and 3 challenger."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    client = mlflow.MlflowClient()
    first = client.get_model_version(project.model_name, "1")
    for _ in range(2):
        client.create_model_version(project.model_name, first.source, tags=first.tags)
    registry.point("champion", 2)
    registry.point("challenger", 3)
    return registry


@pytest.fixture
def tag(registry: Registry) -> Tag:
    """Return a function that tags the registered model, as a person does in MLflow's interface."""

    def tag(name: str, text: str) -> None:
        mlflow.MlflowClient().set_registered_model_tag(registry.name, name, text)

    return tag


def test_champion_alone_is_served_by_default(registry: Registry) -> None:
    release = desired(registry)
    assert (release.champion, release.versions, release.shares, release.shadows) == (2, {2: ("champion",)}, {}, ())


def test_version_tagged_to_serve_stays_beside_the_champion(registry: Registry) -> None:
    registry.describe(1, "", {"serve": "true"})
    assert set(desired(registry).versions) == {1, 2}
    registry.describe(1, "", {"serve": "false"})
    assert set(desired(registry).versions) == {2}


def test_shares_and_shadows_are_served_too(registry: Registry, tag: Tag) -> None:
    tag("traffic", "champion=90, challenger=10")
    tag("shadow", "1")
    release = desired(registry)
    assert (release.shares, release.shadows) == ({2: 90, 3: 10}, (1,))
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
def test_tag_that_cannot_be_meant_is_named(registry: Registry, tag: Tag, name: str, text: str, said: str) -> None:
    tag(name, text)
    with pytest.raises(UserError, match=f"tag {name}.*{said}"):
        desired(registry)


def test_converging_brings_every_version_and_again_changes_nothing(
    project: config.Settings, registry: Registry, tag: Tag
) -> None:
    store = Store(project.store)
    tag("traffic", "champion=50,challenger=50")
    release = converge(registry, store)
    assert set(release.versions) <= set(store.versions())
    mark = store.mark()
    assert converge(registry, store).same_as(release)
    assert store.mark() == mark


def test_what_was_spoilt_on_disk_is_mended_and_released_anew(project: config.Settings, registry: Registry) -> None:
    store = Store(project.store)
    first = converge(registry, store)
    (store.path(2) / "details.json").write_text("{}")
    second = converge(registry, store)
    assert store.holds(2, second.digests[2])
    assert second.same_as(first)
    assert second.created > first.created
    (store.root / "release.json").write_text("{")
    assert converge(registry, store).same_as(first)


def test_version_that_cannot_be_had_leaves_the_release(project: config.Settings, registry: Registry) -> None:
    store = Store(project.store)
    before = store.release()
    registry.describe(2, "", {"digest": "0" * 64})
    with pytest.raises(UserError, match="digest"):
        converge(registry, store)
    assert store.release() == before
    assert not store.path(2).exists()
