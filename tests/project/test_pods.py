"""The pods of `deploy/kubernetes`, run by podman from the rendered manifests, as far as it knows them."""

import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Project, call, free_port, needed, wait_for

pytestmark = pytest.mark.slow

NAME = "titanic-survival"


@pytest.fixture(scope="module")
def podman() -> str:
    """Return where podman is."""
    return needed("podman")


@pytest.fixture(scope="module")
def image(trained: Project, podman: str) -> str:
    """Return the image that `make build` makes."""
    repository = f"localhost/test-{uuid.uuid4().hex[:8]}/{NAME}"
    found = re.search(rf"{repository}:\d+-[\w-]+", trained.make("build", IMAGE_REPOSITORY=repository))
    assert found
    return found[0]


def rendered(project: Path, components: tuple[str, ...], image: str) -> list[dict[str, Any]]:
    """Return the objects of an overlay that podman knows."""
    folder = project / "deploy" / "kubernetes" / "overlays" / "played"
    shutil.copytree(folder.with_name("staging"), folder, dirs_exist_ok=True)
    path = folder / "kustomization.yaml"
    content = yaml.safe_load(path.read_text())
    repository, _, tag = image.rpartition(":")
    content["components"] = [f"../../components/{name}" for name in components]
    content["images"] = [{"name": NAME, "newName": repository, "newTag": tag}]
    path.write_text(yaml.safe_dump(content))
    text = subprocess.run([needed("kubectl"), "kustomize", str(folder)], capture_output=True, text=True, check=True)
    shutil.rmtree(folder)
    return [o for o in yaml.safe_load_all(text.stdout) if o and o["kind"] in ("Deployment", "ConfigMap")]


@contextmanager
def played(podman: str, objects: list[dict[str, Any]], folder: Path) -> Iterator[tuple[str, str]]:
    """Run the Deployment; yield the URL and the name of the service's container."""
    name, port = f"pods-{uuid.uuid4().hex[:8]}", free_port()
    deployment = next(o for o in objects if o["kind"] == "Deployment")
    deployment["metadata"]["name"] = name
    service = deployment["spec"]["template"]["spec"]["containers"][0]
    service["ports"][0] |= {"hostPort": port, "hostIP": "127.0.0.1"}
    path = folder / "pods.yaml"
    path.write_text(yaml.safe_dump_all([o for o in objects if o["kind"] == "ConfigMap"] + [deployment]))
    try:
        done = subprocess.run([podman, "play", "kube", str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        yield f"http://127.0.0.1:{port}", f"{name}-pod-0-service"
    finally:
        subprocess.run([podman, "play", "kube", "--down", str(path)], capture_output=True)


def inside(podman: str, container: str, script: str) -> str:
    """Return what a shell in a container says, "" if it fails."""
    return subprocess.run([podman, "exec", container, "sh", "-c", script], capture_output=True, text=True).stdout


def test_pod_answers_as_restricted_as_it_is_declared(trained: Project, podman: str, image: str, tmp_path: Path) -> None:
    with played(podman, rendered(trained.path, (), image), tmp_path) as (url, container):
        wait_for(lambda: call(f"{url}/readyz")[0] == 200, 60)
        for path in ("", f"/{NAME}"):
            assert call(f"{url}{path}/predict", trained.rows(2))[0] == 200
        status = inside(podman, container, "id -u; grep CapEff /proc/self/status; touch /app/x || echo read-only")
        assert status.split() == ["10001", "CapEff:", "0000000000000000", "read-only"]
