"""The image: what it is built from, how it is named, and what is said of an engine that fails."""

import shutil
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from titanic_survival import config
from titanic_survival.toolkit.common import commands
from titanic_survival.toolkit.common.errors import UserError, explain_missing_extras
from titanic_survival.toolkit.release import container_engine, image
from titanic_survival.toolkit.release.store import Release, Store

PROJECT = image.Project(config.ROOT, config.PACKAGE, "registry.example.com/team/name", "", "", "")


@pytest.fixture
def release(trained: config.Settings) -> Release:
    found = Store(trained.store).release()
    assert found
    return found


def test_image_is_built_from_code_locks_and_the_release_alone(
    project: config.Settings, release: Release, tmp_path: Path
) -> None:
    store, context = Store(project.store), tmp_path / "context"
    context.mkdir(mode=0o700)
    shutil.copytree(store.path(1), store.path(9))  # a version that is not released
    image.stage(context, PROJECT, store, release, release.created)
    assert {path.name for path in context.iterdir()} == {
        *("Dockerfile", "data", "requirements", "setup.py", "store", config.PACKAGE)
    }
    assert list((context / "data").iterdir()) == []
    assert Store(context / "store").versions() == [1]
    assert Store(context / "store").release() == release
    assert not list(context.rglob("__pycache__"))
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in [context, *context.rglob("*")]}
    assert modes == {(True, 0o755), (False, 0o644)}


def test_image_that_trains_has_the_data_that_git_has(
    project: config.Settings, release: Release, tmp_path: Path
) -> None:
    root, context = tmp_path / "project", tmp_path / "context"
    context.mkdir()
    for name in ("requirements", config.PACKAGE):
        shutil.copytree(config.ROOT / name, root / name)
    for name in ("Dockerfile", "setup.py"):
        shutil.copy(config.ROOT / name, root)
    (root / "data" / "raw").mkdir(parents=True)
    for name in ("raw/rows.csv", "of-nobody-else.csv"):
        (root / "data" / name).write_text("a,b\n")
    subprocess.run(["git", "init", "-q", root], check=True)
    subprocess.run(["git", "-C", root, "add", "data/raw"], check=True)
    image.stage(context, PROJECT._replace(root=root), Store(project.store), release, release.created, data=True)
    data = context / "data"
    assert [path.relative_to(data).as_posix() for path in data.rglob("*.csv")] == ["raw/rows.csv"]


@pytest.mark.parametrize(
    ("commit", "tag"), [("1f0c9a2b7d11", "3-1f0c9a2b7d11"), ("1f0c-dirty", "3-1f0c-dirty"), ("none", "3-uncommitted")]
)
def test_tag_names_version_and_commit(commit: str, tag: str) -> None:
    release = Release(model="m", champion=3, versions={3: ()}, created=datetime.now(UTC))
    assert image.tag(release, commit) == tag


def test_release_says_which_libraries_it_needs(trained: config.Settings, release: Release) -> None:
    runtime = Store(trained.store).load(1).details["runtime"]
    assert image.environment(Store(trained.store), release) == {"onnx": "serve", "python": "model"}[runtime]


def test_engine_that_is_unknown_or_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert container_engine.find_engine() is None
    with pytest.raises(UserError, match="CONTAINER_ENGINE is podman"):
        container_engine.find_engine("podman")
    with pytest.raises(UserError, match="'kaniko': name one of docker, podman, buildah"):
        container_engine.find_engine("kaniko")


def test_client_of_docker_without_its_daemon_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, code in (("docker", 1), ("podman", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    engine = container_engine.find_engine()
    assert engine
    assert engine.name == "podman"


def test_failed_build_shows_the_engines_last_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "podman").write_text("#!/bin/sh\nseq 100\necho no space left on device >&2\nexit 125\n")
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    lines: list[str] = []
    with pytest.raises(
        UserError, match=r"podman build ended with exit code 125(?s:.*)no space left on device"
    ) as raised:
        container_engine.Engine("podman").build(tmp_path, "name:1", arguments={}, progress=lines.append)
    assert len(str(raised.value).splitlines()) == 1 + commands.SHOWN_LINES
    assert lines[0] == "1"


@pytest.mark.parametrize(
    ("variable", "cure"), [("", r"make setup installs.*pip install '\.\[train\]'"), ("serve", "ENVIRONMENT=train")]
)
def test_missing_library_is_named_with_its_cure(variable: str, cure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if variable:
        monkeypatch.setenv("IMAGE_ENVIRONMENT", variable)
    with pytest.raises(UserError, match=f"needs mlflow.*{cure}"), explain_missing_extras():
        raise ModuleNotFoundError("No module named 'mlflow.pyfunc'", name="mlflow.pyfunc")


@pytest.mark.parametrize(("variable", "cure"), [("", "make setup EXTRAS=s3 "), ("serve", "--build-arg EXTRAS=s3")])
def test_missing_optional_library_is_named_with_its_cure(
    variable: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv("IMAGE_ENVIRONMENT", variable)
    with pytest.raises(UserError, match=f"needs boto3.*{cure}"), explain_missing_extras():
        raise ModuleNotFoundError("No module named 'boto3'", name="boto3")
