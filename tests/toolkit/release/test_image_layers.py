"""A release put into an image in its registry: what changes, what stays, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_registries import Proxy, digest, docker_registry, files_of, proxy, push_image
from titanic_survival import config
from titanic_survival.shared import container_image
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.release import image as images
from titanic_survival.toolkit.release.image_layers import append_release, exists
from titanic_survival.toolkit.release.image_layers import digest as digest_in_registry
from titanic_survival.toolkit.release.image_name import ImageName
from titanic_survival.toolkit.release.image_registry import MANIFEST_TYPES, Content, ImageRegistry
from titanic_survival.toolkit.release.layer import write_layer
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
    assert parts(name)[1]["rootfs"]["diff_ids"][-1] == unpacked_digest(name)


def test_same_release_is_the_same_image_whatever_was_there(registry: str, store: Store, release: Release) -> None:
    push_image(f"{registry}:first")
    history = [
        {"created_by": "COPY titanic_survival /app/titanic_survival # buildkit"},
        {"created_by": "COPY store /app/store # buildkit"},
        {"created_by": "LABEL model.versions=5", "empty_layer": True},
    ]
    push_image(f"{registry}:docker", history=history)
    first, docker = (append_release(f"{registry}:{tag}", store, release, run_id="a") for tag in ("first", "docker"))
    assert first != docker  # their other steps differ
    other = append_release(f"{registry}:first", store, release.model_copy(update={"shadows": (9,)}), run_id="b")
    assert other != first
    assert append_release(other, store, release, run_id="a") == first
    assert append_release(docker, store, release, run_id="a") == docker


def test_tag_names_one_image_for_ever(registry: str, store: Store, release: Release, watched: Proxy) -> None:
    image = f"{watched.host}/team/tags:base"
    push_image(image)
    first = append_release(image, store, release, run_id="a run")
    with ImageRegistry(ImageName.parse(image)) as found:
        tagged = found.manifest("1-1f0c9a2b7d11")
        assert first.endswith(tagged.digest)
        watched.requests.clear()
        assert append_release(image, store, release, run_id="a run") == first
        assert not [line for line in watched.sent if line.startswith(("PUT", "POST"))]
        other = append_release(image, store, release.model_copy(update={"shadows": (9,)}), run_id="a run")
        assert found.manifest("1-1f0c9a2b7d11") == tagged
        assert other.endswith(found.manifest(f"1-1f0c9a2b7d11-{other.partition('sha256:')[2][:12]}").digest)


def test_only_layer_configuration_and_manifest_are_sent(store: Store, release: Release, watched: Proxy) -> None:
    image = f"{watched.host}/team/sent:base"
    push_image(image)
    watched.requests.clear()
    append_release(image, store, release, run_id="a run")
    sent = [line.partition(" ")[0] for line in watched.sent]
    assert (sent.count("POST"), sent.count("PUT")) == (2, 3)
    assert not any("/blobs/sha256" in line and line.startswith("GET") for line in watched.sent[2:])


@pytest.mark.parametrize("platforms", [("amd64",), ("amd64", "arm64")])
def test_every_platform_gets_the_release(
    registry: str, store: Store, release: Release, platforms: tuple[str, ...]
) -> None:
    image = f"{registry}:index-{len(platforms)}"
    push_image(image, platforms=platforms)
    name = append_release(image, store, release, run_id="a run")
    with ImageRegistry(ImageName.parse(name)) as found:
        value = found.manifest(name.partition("@")[2]).json()
    if len(platforms) == 1:
        assert "app/store/versions/1/contract.json" in files_of(name)
        return
    assert [entry["platform"]["architecture"] for entry in value["manifests"]] == list(platforms)
    for entry in value["manifests"]:
        assert "app/store/versions/1/contract.json" in files_of(f"{registry}@{entry['digest']}")
        assert parts(f"{registry}@{entry['digest']}")[1]["architecture"] == entry["platform"]["architecture"]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"history": [{"created_by": "squashed"}]}, "last layer of .* is not its store.*--squash"),
        (
            {"history": [{"created_by": "COPY store /app/store"}, {"created_by": "RUN pip install more"}]},
            "copy nothing after the store",
        ),
        ({"labels": {}}, "of which commit"),
        ({"environment": "other"}, "libraries"),
    ],
)
def test_image_that_cannot_take_a_release_is_refused(
    registry: str, store: Store, release: Release, what: dict[str, Any], message: str, watched: Proxy
) -> None:
    image = f"{watched.host}/team/refused:base"
    push_image(image, **what)
    watched.requests.clear()
    with pytest.raises(UserError, match=message):
        append_release(image, store, release, run_id="a run")
    assert not [line for line in watched.sent if line.startswith(("PUT", "POST"))]


def test_model_in_python_needs_its_libraries(
    registry: str, store: Store, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "environment", lambda store, release: "model")
    push_image(f"{registry}:small")
    with pytest.raises(
        UserError, match=r"needs the libraries of requirements/model\.lock, and .* has those of serve alone.*make build"
    ):
        append_release(f"{registry}:small", store, release, run_id="a run")
    push_image(f"{registry}:large", environment="train")
    assert append_release(f"{registry}:large", store, release, run_id="a run")


def test_missing_image_is_named(registry: str, store: Store, release: Release) -> None:
    with pytest.raises(UserError, match=rf"There is no image {registry}:nowhere"):
        append_release(f"{registry}:nowhere", store, release, run_id="a run")
    assert not exists(f"{registry}:nowhere")
    push_image(f"{registry}:here")
    assert exists(f"{registry}:here")


def test_what_is_no_image_is_no_traceback(registry: str, store: Store, release: Release) -> None:
    with ImageRegistry(ImageName.parse(registry)) as found:
        config = b'{"config": []}'
        found.upload(digest(config), config)
        described = {"mediaType": "application/json", "digest": digest(config), "size": len(config)}
        value = {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "config": described, "layers": []}
        found.push_manifest(Content.of(value, MANIFEST_TYPES[0]), "odd")
    with pytest.raises(UserError, match="odd cannot be read as an image"):
        append_release(f"{registry}:odd", store, release, run_id="a run")


def test_layer_is_the_same_whatever_the_clock_and_the_umask(tmp_path: Path) -> None:
    made = []
    for name, mode in (("a", 0o600), ("b", 0o664)):
        folder = tmp_path / name
        (folder / "versions").mkdir(parents=True, mode=0o777 & ~(0o7 if name == "a" else 0))
        for file in ("z", "a") if name == "a" else ("a", "z"):
            (folder / "versions" / file).write_text(file)
            (folder / "versions" / file).chmod(mode)
            os.utime(folder / "versions" / file, (mode, mode))
        made.append(write_layer(folder, "app/store", tmp_path / f"{name}.gz"))
    assert made[0].digest == made[1].digest
    assert made[0].diff_id == made[1].diff_id


def test_published_release_needs_no_engine_if_the_image_of_the_commit_is_there(
    registry: str, trained: config.Settings, release: Release, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(container_image.provenance, "commit", lambda folder: "1f0c9a2b7d11")
    monkeypatch.setattr(container_image, "find_engine", lambda wanted: None)
    repository = registry.replace("titanic-survival", "published")
    settings = trained.model_copy(update={"image_repository": repository})
    with pytest.raises(UserError, match=rf"There is no image {repository}:runtime-1f0c9a2b7d11-serve"):
        container_image.deployable(settings)
    push_image(f"{repository}:runtime-1f0c9a2b7d11-serve")
    pinned = container_image.deployable(settings)
    run = connect(settings.mlflow_tracking_uri, settings.model_name).get("1").run_id
    assert parts(pinned)[1]["config"]["Labels"]["model.run"] == run
    # What the code of this machine is, no tag tells.
    monkeypatch.setattr(container_image.provenance, "commit", lambda folder: "1f0c9a2b7d11-dirty")
    push_image(f"{repository}:runtime-1f0c9a2b7d11-dirty-serve")
    with pytest.raises(UserError, match="nothing here to build it with"):
        container_image.publish(settings, Store(settings.store), release)


def test_image_with_the_libraries_of_all_commands_is_that_of_the_commit(
    registry: str, trained: config.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_image.provenance, "commit", lambda folder: "1f0c9a2b7d11")
    monkeypatch.setattr(container_image, "find_engine", lambda wanted: None)
    repository = registry.replace("titanic-survival", "full")
    settings = trained.model_copy(update={"image_repository": repository})
    push_image(f"{repository}:runtime-1f0c9a2b7d11-serve")
    with pytest.raises(UserError, match=rf"There is no image {repository}:runtime-1f0c9a2b7d11-train"):
        container_image.publish_full(settings)
    train = f"{repository}:runtime-1f0c9a2b7d11-train"
    push_image(train)
    assert container_image.publish_full(settings) == f"{repository}@{digest_in_registry(train)}"
    monkeypatch.setattr(container_image.provenance, "commit", lambda folder: "1f0c9a2b7d11-dirty")
    with pytest.raises(UserError, match="not committed"):
        container_image.publish_full(settings)


def test_tag_of_a_commits_image_has_all_that_it_depends_on() -> None:
    assert images.runtime_tag("1f0c", "serve", "", []) == "runtime-1f0c-serve"
    assert images.runtime_tag("none", "model", "", []) == "runtime-uncommitted-model"
    machine = ["--network=host", "--volume", "/etc/pip.conf:/etc/pip.conf:ro", "--no-cache"]
    assert images.runtime_tag("1f0c", "serve", "", machine) == "runtime-1f0c-serve"
    tags = {
        images.runtime_tag("1f0c", "serve", base, options)
        for base in ("", "python:3.12-slim")
        for options in ([], ["--build-arg", "EXTRAS=s3"], ["--build-arg=EXTRAS=gcs"], ["--platform", "linux/arm64"])
    }
    assert len(tags) == 8


def unpacked_digest(image: str) -> str:
    """Return the digest of what an image's last layer unpacks to."""
    name = ImageName.parse(image)
    with ImageRegistry(name) as found:
        manifest = found.manifest(name.reference).json()
        return digest(gzip.decompress(found.blob(manifest["layers"][-1]["digest"]).data))
