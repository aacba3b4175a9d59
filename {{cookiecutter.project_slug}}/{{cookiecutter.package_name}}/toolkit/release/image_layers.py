"""A release as one layer of an image, replaced in the image registry through its HTTP API: no engine, no build.

The image's last layer has the store. It is left out, not covered, so that the image is none the larger for the releases
before; all other layers are in the registry already. The same image and release give the same image, to the digest.
"""

from __future__ import annotations

import re
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from ..common.errors import UserError
from . import image as images
from .image_name import ImageName
from .image_registry import DOCKER, INDEX_TYPES, MANIFEST_TYPES, OCI, Content, ImageRegistry
from .layer import Layer, write_layer
from .store import Release, Store

#: The step of the Dockerfile whose layer has the release, as docker, podman, buildah and this module record it.
STEP = re.compile(r"COPY .*/app/store(\s|$)")
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff"
REVISION, CREATED = "org.opencontainers.image.revision", "org.opencontainers.image.created"
#: Which environments have the libraries of which.
SUFFICIENT = {
    images.ONNX_ENVIRONMENT: (images.ONNX_ENVIRONMENT, images.PYTHON_ENVIRONMENT, images.FULL_ENVIRONMENT),
    images.PYTHON_ENVIRONMENT: (images.PYTHON_ENVIRONMENT, images.FULL_ENVIRONMENT),
}


def exists(image: str) -> bool:
    """Whether an image's registry has it."""
    return bool(digest(image))


def digest(image: str) -> str:
    """Return the digest of an image in its registry (sha256:...), "" if that has none of this name."""
    name = ImageName.parse(image)
    with ImageRegistry(name) as registry:
        found = registry.find(name.reference)
    return found.digest if found else ""


def append_release(image: str, store: Store, release: Release, *, run_id: str) -> str:
    """Push the image that has the code and libraries of `image` and this release; return its name by digest.

    `image` is an image of this project in its registry, by tag or digest, whatever release it holds: the layer of that
    is replaced. `run_id` is the MLflow run of the champion. The same image and release give the same digest, whoever
    appends. The new image is in the same repository, under the tag `<champion>-<commit>`; if another image has that
    tag, the first digits of its own digest follow. So no tag is moved.

    `UserError`: the image is missing, was not built from this project's Dockerfile, or lacks the libraries that the
    release needs; the registry does not answer, rejects the credentials, or sends content with a wrong digest.
    """
    name = ImageName.parse(image)
    with ImageRegistry(name) as registry, tempfile.TemporaryDirectory(prefix="layer-") as folder:
        found = registry.manifest(name.reference)
        appending = _Appending(registry, store, release, run_id, Path(folder))
        try:
            pushed = appending.index(found) if found.media_type in INDEX_TYPES else appending.manifest(found)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{image} cannot be read as an image ({type(error).__name__}: {error}).") from error
        tag = images.tag(release, appending.commit)
        taken = registry.find(tag)
        if taken is None or taken.digest != pushed.digest:
            registry.push_manifest(pushed, f"{tag}-{pushed.digest[7:19]}" if taken else tag)
    return f"{name.repository}@{pushed.digest}"


class _Appending:
    """Appends one release to the images of one repository; what it returns is not pushed, all that it refers to is."""

    def __init__(self, registry: ImageRegistry, store: Store, release: Release, run_id: str, folder: Path) -> None:
        self._registry, self._store, self._release, self._folder = registry, store, release, folder
        self._environment = images.environment(store, release)
        self._labels = images.labels(release, run_id)
        self._layer: Layer | None = None
        #: The commit of the code, which the image tells.
        self.commit = ""

    def index(self, content: Content) -> Content:
        """Append to the image of each platform; what an index says of its images, such as provenance, is left out."""
        value = content.json()
        entries = [entry for entry in value["manifests"] if entry.get("platform", {}).get("os") != "unknown"]
        for entry in entries:
            pushed = self.manifest(self._registry.manifest(entry["digest"]))
            if len(entries) == 1:
                return pushed
            self._registry.push_manifest(pushed, pushed.digest)
            entry.update(digest=pushed.digest, size=len(pushed.data))
        return Content.of(value | {"manifests": entries}, content.media_type)

    def manifest(self, content: Content) -> Content:
        """Append to the image of one platform."""
        repository = self._registry.image.repository
        if content.media_type not in MANIFEST_TYPES:
            raise UserError(f"{repository}: content of the type {content.media_type!r} is no image.")
        manifest = content.json()
        config = self._registry.blob(manifest["config"]["digest"]).json()
        self._check(config, len(manifest["layers"]))
        labels = config["config"]["Labels"]
        self.commit = labels[REVISION]
        if self._layer is None:
            created = datetime.fromisoformat(labels[CREATED])
            images.stage_release(self._folder / "store", self._store, self._release, created)
            self._layer = write_layer(self._folder / "store", "app/store", self._folder / "layer")
            self._registry.upload(self._layer.digest, self._layer.file)
        labels.update(self._labels)
        config["rootfs"]["diff_ids"][-1] = self._layer.diff_id
        _replace_step(config)
        described = Content.of(config, manifest["config"]["mediaType"])
        self._registry.upload(described.digest, described.data)
        manifest["config"].update(digest=described.digest, size=len(described.data))
        # Podman names an image of its cache there, which differs from build to build.
        manifest.get("annotations", {}).pop("org.opencontainers.image.base.digest", None)
        docker = content.media_type.startswith(DOCKER)
        manifest["layers"][-1] = {
            "mediaType": f"{DOCKER_LAYER}.tar.gzip" if docker else f"{OCI}.layer.v1.tar+gzip",
            "digest": self._layer.digest,
            "size": self._layer.file.stat().st_size,
        }
        return Content.of(manifest, content.media_type)

    def _check(self, config: dict[str, Any], layers: int) -> None:
        """Raise a `UserError` unless an image's last layer is its store, and it has the libraries of the release."""
        name = self._registry.image.repository
        steps = [step.get("created_by", "") for step in config.get("history") or [] if not step.get("empty_layer")]
        labels = config["config"].get("Labels") or {}
        if not steps or not STEP.search(steps[-1]) or layers != len(config["rootfs"]["diff_ids"]):
            raise UserError(
                f"The last layer of {name} is not its store, so no release can be put in its place. Build the image "
                "with the project's Dockerfile, in layers (without --squash), and copy nothing after the store."
            )
        if not labels.get(REVISION) or not labels.get(CREATED):
            raise UserError(f"{name} does not say of which commit it is. Build it with: make build ARGS=--push")
        variables = dict(text.partition("=")[::2] for text in config["config"].get("Env") or [])
        environment = variables.get("IMAGE_ENVIRONMENT", "")
        if environment not in SUFFICIENT[self._environment]:
            raise UserError(
                f"The release needs the libraries of requirements/{self._environment}.lock, and {name} has those of "
                f"{environment or 'no known lock'} alone. Build the image that has them: make build ARGS=--push"
            )


def _replace_step(config: dict[str, Any]) -> None:
    """Let an image's history end with the release that was put in; what the steps there did is in the configuration."""
    history = config["history"]
    last = max(number for number, step in enumerate(history) if not step.get("empty_layer"))
    # The time of the image that was appended to: the same inputs give the same image.
    created = {"created": config["created"]} if "created" in config else {}
    config["history"] = [*history[:last], created | {"created_by": "COPY store /app/store", "comment": "make build"}]
