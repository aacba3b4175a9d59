"""A release put into an image in its registry: what changes, what stays, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_registries import Proxy, docker_registry, files_of, proxy, push_image
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.release import image as images
from titanic_survival.toolkit.release.image_layers import append_release
from titanic_survival.toolkit.release.image_name import ImageName
from titanic_survival.toolkit.release.image_registry import ImageRegistry
from titanic_survival.toolkit.release.store import Release, Store

REPOSITORY = "team/titanic-survival"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the name of a repository in a registry, without a tag."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield f"{host}/{REPOSITORY}"


@pytest.fixture(scope="module")
def store(trained: config.Settings) -> Store:
    return Store(trained.store)


@pytest.fixture(scope="module")
def release(store: Store) -> Release:
    return store.required_release()


@pytest.fixture
def watched(registry: str) -> Iterator[Proxy]:
    """Return a proxy in front of the registry, which sees all requests."""
    with proxy(registry.partition("/")[0]) as found:
        yield found


def parts(image: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an image's manifest and configuration."""
    name = ImageName.parse(image)
    with ImageRegistry(name) as found:
        manifest = found.manifest(name.reference).json()
        return manifest, found.blob(manifest["config"]["digest"]).json()


@pytest.mark.parametrize("docker", [False, True])
def test_release_takes_the_place_of_the_one_before(registry: str, store: Store, release: Release, docker: bool) -> None:
    push_image(f"{registry}:base-{docker}", docker=docker)
    before, old = parts(f"{registry}:base-{docker}")
    name = append_release(f"{registry}:base-{docker}", store, release, run_id="a run")
    assert name.startswith(f"{registry}@sha256:")
    after, new = parts(name)
    assert after["layers"][:-1] == before["layers"][:-1]
    assert after["layers"][-1]["mediaType"] == before["layers"][-1]["mediaType"]
    assert new["rootfs"]["diff_ids"][:-1] == old["rootfs"]["diff_ids"][:-1]
    labels = new["config"].pop("Labels")
    assert labels["org.opencontainers.image.version"] == str(release.champion)
    assert labels["model.versions"] == "1"
    assert labels["model.run"] == "a run"
    assert labels["model.name"] == release.model
    assert labels["org.opencontainers.image.title"] == "a title"
    del old["config"]["Labels"]
    assert new["config"] == old["config"]
    # As many steps with a layer as there are layers, and nothing of the release before.
    assert len([step for step in new["history"] if not step.get("empty_layer")]) == len(after["layers"])
    assert "model.versions=7" not in json.dumps(new["history"])
    paths = files_of(name)
    assert {"app/store/release.json", "app/store/versions/1/contract.json"} <= set(paths)
    assert "app/store/old" not in paths
    assert {(entry.isdir(), entry.mode, entry.uid, entry.gid, entry.mtime) for entry in paths.values()} == {
        (True, 0o755, 0, 0, 0),
        (False, 0o644, 0, 0, 0),
    }
