"""Manifests: rendered by kustomize, read as text.

kustomize writes documents in one normal form (keys in order, `kind` in the first column, two spaces an indentation), so
that names, kinds and images can be found without a parser of YAML.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from ....common.errors import UserError
from .kubectl import Kubectl

#: Kinds of other projects that a cluster may lack; the service works without them.
OPTIONAL = {
    "gateway.networking.k8s.io/v1": "no Gateway API: reachable inside the cluster, or by the component `ingress`",
    "monitoring.coreos.com/v1": "no Prometheus operator: nothing is scraped, and no alert is raised",
}
AT_LEAST = re.compile(r'model-service/kubernetes-at-least: "(\d+)\.(\d+)"')
IMAGE = re.compile(r"^[ -]+(?:image|reference): (\S+)$", re.MULTILINE)


class Manifest(NamedTuple):
    """One object; `text` is its YAML."""

    api: str
    kind: str
    name: str
    text: str

    @property
    def identity(self) -> str:
        """The object as kubectl names it: `deployment.v1.apps/name`."""
        group, _, version = self.api.rpartition("/")
        return f"{self.kind.lower()}.{version}.{group}/{self.name}" if group else f"{self.kind.lower()}/{self.name}"


def split(text: str) -> list[Manifest]:
    """Return the objects of a rendered text."""
    found = []
    for document in re.split(r"^---\n", text, flags=re.MULTILINE):
        if not document.strip():
            continue
        metadata = _field(r"^metadata:\n((?: .*\n?)+)", document)
        api, kind = _field(r"^apiVersion: (\S+)$", document), _field(r"^kind: (\S+)$", document)
        found.append(Manifest(api, kind, _field(r"^  name: (\S+)$", metadata), document))
    return found


def join(manifests: Iterable[Manifest]) -> str:
    """Return objects as one text."""
    return "---\n".join(manifest.text.rstrip("\n") + "\n" for manifest in manifests)


def overlay_folder(root: Path, overlay: str) -> Path:
    """Return the folder of an overlay."""
    folder = root / "deploy" / "kubernetes" / "overlays" / overlay
    if not (folder / "kustomization.yaml").exists():
        raise UserError(f"{folder} has no kustomization.yaml; KUBERNETES_OVERLAY names a folder beside it")
    return folder


def names_image(root: Path, overlay: str, image: str) -> bool:
    """Whether an overlay runs an image by this name, which its `images` have not replaced."""
    return image in images(split(Kubectl().run("kustomize", str(overlay_folder(root, overlay)))))


def render(root: Path, overlay: str, kubectl: Kubectl, name: str, images: Mapping[str, str]) -> list[Manifest]:
    """Return the objects of an overlay, with images by their names there, and the rules of `monitoring/rules.yml`.

    What kustomize is given is left in `build/kubernetes`, for people to look at.
    """
    source, folder = overlay_folder(root, overlay), root / "build" / "kubernetes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yaml").write_text(rules(root / "monitoring" / "rules.yml", name))
    (folder / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\n"
        "kind: Kustomization\n"
        f"namespace: {kubectl.namespace}\n"
        f"resources:\n  - {os.path.relpath(source, folder)}\n  - rules.yaml\n"
        "images:\n" + "".join(_replacement(name, image) for name, image in images.items())
    )
    return split(kubectl.run("kustomize", str(folder)))


def _replacement(name: str, image: str) -> str:
    repository, _, digest = image.partition("@")
    if digest:
        return f"  - name: {name}\n    newName: {repository}\n    digest: {digest}\n"
    repository, _, tag = image.rpartition(":")
    return f"  - name: {name}\n    newName: {repository}\n    newTag: {tag!r}\n"


def rules(path: Path, name: str) -> str:
    """Return Prometheus' rules as an object of the Prometheus operator."""
    lines = path.read_text().splitlines(keepends=True)
    return (
        "apiVersion: monitoring.coreos.com/v1\n"
        "kind: PrometheusRule\n"
        f"metadata:\n  name: {name}\n  labels:\n    app.kubernetes.io/name: {name}\n"
        "spec:\n" + "".join(f"  {line}" if line.strip() else line for line in lines)
    )


def fit(manifests: list[Manifest], known: set[str], cluster: tuple[int, int]) -> tuple[list[Manifest], list[str]]:
    """Return the objects that a cluster can have, and a note for those left out; `UserError` if it lacks what counts.

    `known` are the cluster's API versions.
    """
    found = AT_LEAST.findall(join(manifests))
    least = max(((int(major), int(minor)) for major, minor in found), default=(0, 0))
    if cluster < least:
        raise UserError(
            f"The cluster runs Kubernetes {cluster[0]}.{cluster[1]}, and a component of the overlay needs "
            f"{least[0]}.{least[1]} (deploy/kubernetes/components says which). Take it out, or update the cluster"
        )
    kept: list[Manifest] = []
    notes: dict[str, list[str]] = {}
    for manifest in manifests:
        if manifest.api in known:
            kept.append(manifest)
        elif manifest.api in OPTIONAL:
            notes.setdefault(manifest.api, []).append(manifest.kind)
        else:
            raise UserError(
                f"The cluster does not know {manifest.api}, the API of {manifest.kind} {manifest.name}. Install what "
                "brings it, or take the component out of the overlay"
            )
    return kept, [f"{', '.join(kinds)} left out: the cluster has {OPTIONAL[api]}" for api, kinds in notes.items()]


def images(manifests: Iterable[Manifest]) -> list[str]:
    """Return the images of the objects that run some."""
    running = ("Deployment", "CronJob", "Service")
    found = {image for manifest in manifests if manifest.kind in running for image in IMAGE.findall(manifest.text)}
    return sorted(found)


def check_pinned(manifests: Iterable[Manifest], later: str = "") -> None:
    """Raise a `UserError` if an image is not named by its digest; `later` is the tag of those that will be."""
    for image in images(manifests):
        if "@sha256:" not in image and not (later and image.endswith(f":{later}")):
            raise UserError(
                f"image {image} is not named by its digest, so it may change. Name it under `images` "
                "of the overlay's kustomization.yaml, with newName and digest"
            )


def _field(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1].strip("\"'") if match else ""
