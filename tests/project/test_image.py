"""The container image: built by `make build`, run as a stranger on a read-only root, pushed to a registry and back."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import time
import urllib.error
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project, call, free_port, needed, running, wait_for

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000


class Containers:
    """The engine that builds and runs images here."""

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def __call__(self, *words: str) -> str:
        """Run the engine, and return what it prints."""
        done = subprocess.run([self.engine, *words], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def inspect(self, image: str) -> dict[str, Any]:
        """Return what the engine knows of an image."""
        return json.loads(self("image", "inspect", image))[0]

    @contextmanager
    def serving(self, image: str, *options: str) -> Iterator[tuple[str, str]]:
        """Run an image as a stranger on a read-only root without capabilities; yield its address and container."""
        port = free_port()
        strict = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=54321:54321"]
        container = self("run", "--detach", "--network=host", "--env", f"PORT={port}", *strict, *options, image)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: call(f"{url}/readyz")[0] == 200, 30)
            yield url, container
        finally:
            self("rm", "--force", "--time=0", container)


@pytest.fixture(scope="module")
def containers() -> Containers:
    """Return the engine that the tests are told, or the first that there is."""
    return Containers(needed(os.environ.get("CONTAINER_ENGINE", "podman")))


@pytest.fixture(scope="module")
def trained(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy with a version, whose images have a name that no other test's have."""
    copy = project.copy(tmp_path_factory.mktemp("image") / "titanic-survival")
    copy.env["IMAGE_REPOSITORY"] = f"localhost/test-{uuid.uuid4().hex[:8]}/titanic-survival"
    copy.make("train")
    return copy


def named(output: str) -> str:
    """Return the name of the image in what `make build` prints."""
    found = re.search(r"localhost/test-\w+/titanic-survival:\d+-[\w-]+", output)
    assert found, output
    return found[0]


@pytest.fixture(scope="module")
def image(trained: Project, containers: Containers) -> Iterator[str]:
    """Return the image that `make build` makes."""
    name = named(trained.make("build"))
    yield name
    containers("rmi", "--force", name)


def test_image_serves_as_a_stranger_on_a_read_only_root(trained: Project, containers: Containers, image: str) -> None:
    nowhere = "MLFLOW_TRACKING_URI=http://127.0.0.1:9"  # the service needs no registry
    with containers.serving(image, "--env", nowhere) as (url, container):
        rows = trained.rows(2)
        status, answers = call(f"{url}/predict", rows)
        assert (status, len(answers)) == (200, 2)
        assert call(f"{url}/invocations", {"dataframe_records": rows})[0] == 200
        assert re.search(r'model_rows_total\{version="\d+"\} [1-9]', call(f"{url}/metrics")[1])
        containers("restart", container)
        wait_for(lambda: call(f"{url}/predict", rows)[0] == 200, 30)
        start = time.monotonic()
        containers("stop", "--time=30", container)
        assert time.monotonic() - start < 15
        assert containers("inspect", "--format", "{{.State.ExitCode}}", container) == "0"
        with pytest.raises((OSError, urllib.error.URLError)):
            call(f"{url}/livez")


def test_image_holds_no_tool_that_installs_or_compiles(containers: Containers, image: str) -> None:
    look = "command -v pip git gcc cc make; python -c 'import pip' 2>/dev/null && echo pip; python -c 'import pandas'"
    done = subprocess.run(
        [containers.engine, "run", "--rm", "--network=none", "--entrypoint=sh", image, "-c", look],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == ""
    assert "No module named 'pandas'" in done.stderr


def test_image_is_small_and_says_where_it_comes_from(trained: Project, containers: Containers, image: str) -> None:
    found, base = containers.inspect(image), containers.inspect(os.environ.get("BASE_IMAGE", "python:3.11-slim"))
    print(f"image: {(found['Size'] - base['Size']) / MEGABYTE:.0f} MB above its base")
    assert found["Size"] - base["Size"] < 330 * MEGABYTE
    labels = found["Config"]["Labels"]
    assert labels["model.name"] == "titanic-survival"
    assert labels["org.opencontainers.image.version"] == image.rpartition(":")[2].partition("-")[0]
    assert labels["model.run"] == trained.registry()["versions"][labels["org.opencontainers.image.version"]]["run"]
    assert found["Config"]["User"] == "10001:10001"
    if "docker" in containers.engine:  # OCI images, which the others make, have no place for it
        assert found["Config"]["Healthcheck"]["Test"][0] == "CMD"


def test_the_same_inputs_give_the_same_image(trained: Project, containers: Containers, image: str) -> None:
    first = containers.inspect(image)
    arguments = os.environ.get("CONTAINER_BUILD_ARGS", "")
    # Everything anew, by another umask, from a copy of another age.
    trained.run("sh", "-c", "umask 077 && make build", CONTAINER_BUILD_ARGS=f"{arguments} --no-cache")
    assert containers.inspect(image)["Id"] == first["Id"]


def test_another_version_is_one_layer(trained: Project, containers: Containers, image: str) -> None:
    trained.make("train")
    other = named(trained.make("build"))
    assert other != image
    before, after = (containers.inspect(name)["RootFS"]["Layers"] for name in (image, other))
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]
    containers("rmi", "--force", other)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Return the address of an image registry, and the folder in which it keeps all images."""
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/images}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    command = [needed("docker-registry"), "serve", str(config)]
    with running(command, f"http://127.0.0.1:{port}/v2/", folder, dict(os.environ)):
        yield f"127.0.0.1:{port}", folder / "images"


def published(output: str, repository: str) -> str:
    """Return the name by digest of the image that `make build ARGS=--push` has published."""
    return re.findall(rf"{repository}@sha256:[0-9a-f]{{64}}", output)[0]


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def tree(containers: Containers, image: str, file: Path) -> dict[str, tuple[object, ...]]:
    """Return all that an image has, by path: kind, mode, owner, time and content."""
    container = containers("create", image)
    try:
        containers("export", "--output", str(file), container)
    finally:
        containers("rm", container)
    with tarfile.open(file) as archive:
        found = {}
        for entry in archive:
            content = archive.extractfile(entry).read() if entry.isreg() else entry.linkname  # type: ignore[union-attr]
            found[entry.name] = (entry.type, entry.mode, entry.uid, entry.gid, entry.mtime, hash(content))
    file.unlink()
    return found


def without_engine(folder: Path) -> str:
    """Return a PATH that has all programs of this machine but those that build images."""
    for place in reversed(os.environ["PATH"].split(":")):
        for program in Path(place).glob("*"):
            if program.name not in ("docker", "podman", "buildah"):
                (folder / program.name).unlink(missing_ok=True)
                (folder / program.name).symlink_to(program)
    return str(folder)


def test_another_version_is_published_without_an_engine(
    trained: Project,
    containers: Containers,
    image: str,
    registry: tuple[str, Path],
    tmp_path: Path,
    alone: Callable[[], AbstractContextManager[None]],
) -> None:
    host, images = registry
    repository, plain = f"{host}/team/titanic-survival", ["--tls-verify=false"] if "podman" in containers.engine else []
    trained.env["IMAGE_REPOSITORY"], local = repository, trained.env["IMAGE_REPOSITORY"]
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    try:
        trained.run("git", "init", "--quiet")
        # What the tests add to a project; all else must be clean after each command.
        (trained.path / ".git/info/exclude").write_text(".bentoml\n.venv\n")
        trained.run("git", "add", ".")
        trained.run("git", *identity, "commit", "--quiet", "--message", "all")
        (bin_folder := tmp_path / "bin").mkdir()
        bare = {"PATH": without_engine(bin_folder), "CONTAINER_ENGINE": ""}
        said = trained.make("build", "ARGS=--push", ok=False, **bare)
        assert "There is no image" in said
        first = published(trained.make("build", "ARGS=--push"), repository)
        # A full build and a release put into the same image give the same, to the digest.
        assert published(trained.make("build", "ARGS=--push", **bare), repository) == first
        trained.make("train")
        before = size(images)
        with alone():
            start = time.monotonic()
            second = published(trained.make("build", "ARGS=--push", **bare), repository)
            took = time.monotonic() - start
        grown = size(images) - before
        version = size(trained.path / "store" / "versions") // len(list((trained.path / "store/versions").iterdir()))
        print(f"publish another version: {took:.1f} s, {grown / 1e3:.0f} kB of a version of {version / 1e3:.0f} kB")
        assert grown < version + 100_000
        rebuilt = trained.make("build", "ARGS=--push --rebuild")
        assert published(rebuilt, repository) == second
        for name in (first, second):
            containers("pull", *plain, name)
        layers = [containers.inspect(name)["RootFS"]["Layers"] for name in (first, second)]
        assert layers[0][:-1] == layers[1][:-1]
        with containers.serving(second) as (url, _):
            status, model = call(f"{url}/model")
            assert status == 200
            assert (
                str(model["champion"])
                == containers.inspect(second)["Config"]["Labels"]["org.opencontainers.image.version"]
            )
            assert call(f"{url}/predict", trained.rows(1))[0] == 200
        trained.env["IMAGE_REPOSITORY"] = local
        built = named(trained.make("build"))
        assert tree(containers, second, tmp_path / "a.tar") == tree(containers, built, tmp_path / "b.tar")
        configs = [containers.inspect(name)["Config"] for name in (second, built)]
        assert configs[0] == configs[1]
        containers("rmi", "--force", first, second, built)
        for name in containers("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
            if name.startswith(f"{repository}:"):
                containers("rmi", "--force", name)
        assert took < 30, "a Bento and a container are started once on the way"
    finally:
        trained.env["IMAGE_REPOSITORY"] = local
        shutil.rmtree(trained.path / ".git", ignore_errors=True)


def test_image_goes_through_a_registry(
    trained: Project, containers: Containers, image: str, registry: tuple[str, Path]
) -> None:
    repository = f"{registry[0]}/other/titanic-survival"
    pinned = published(trained.make("build", "ARGS=--push", IMAGE_REPOSITORY=repository), repository)
    plain = ["--tls-verify=false"] if "podman" in containers.engine else []
    containers("pull", *plain, pinned)
    with containers.serving(pinned) as (url, _):
        assert call(f"{url}/predict", trained.rows(1))[0] == 200
    containers("rmi", "--force", pinned)


def test_command_without_its_libraries_names_the_build_argument(containers: Containers, image: str) -> None:
    done = subprocess.run(
        [containers.engine, "run", "--rm", "--network=none", image, "train"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "ENVIRONMENT=train" in done.stderr
    assert "Traceback" not in done.stderr
