"""Downloads of versions whose files somebody has changed: nothing outside of the download is read, moved or removed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from titanic_survival import config
from titanic_survival.toolkit.common.errors import LostVersionError
from titanic_survival.toolkit.common.names import DIGEST
from titanic_survival.toolkit.registry import client
from titanic_survival.toolkit.registry.downloads import place_version
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.version.artifact import digest


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Return a folder that must stay as it is."""
    folder = tmp_path / "precious"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "file").write_text("years of work")
    return folder


@pytest.fixture
def download(trained: config.Settings, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a download, with a path of the version and files that somebody has changed."""

    def download(path: Any = None, folder: Path | None = None) -> Path:
        home = Path(trained.mlflow_tracking_uri.removeprefix("sqlite:///")).parent
        (original,) = home.rglob("MLmodel")
        folder = folder or tmp_path / "scratch" / "model"
        shutil.copytree(original.parent, folder)
        content = yaml.safe_load((folder / "MLmodel").read_text())
        place = content["flavors"]["python_function"]["artifacts"]["version"]
        place["path"] = place["path"] if path is None else path
        (folder / "MLmodel").write_text(yaml.safe_dump(content))
        return folder

    return download


@pytest.mark.parametrize(
    "path",
    [
        "{precious}",
        "../../precious",
        "artifacts/../../../precious",
        "/",
        ".",
        "..",
        "",
        "MLmodel",
        "no such folder",
        "artifacts/link",
        "nul\0",
        7,
        ["artifacts"],
        {"a": 1},
    ],
)
def test_path_that_leads_out_of_the_download_is_not_followed(
    download: Callable[..., Path], precious: Path, tmp_path: Path, path: Any
) -> None:
    folder = download(path.format(precious=precious) if isinstance(path, str) else path)
    (folder / "artifacts" / "link").symlink_to(precious)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LostVersionError, match=r"version 1 .*MLmodel"):
        place_version(folder, tmp_path / "scratch", tmp_path / "to", 1)
    assert sorted(tmp_path.rglob("*")) == before
    assert (precious / "below" / "file").read_text() == "years of work"


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"{flavors: {python_function: 3}}", b"a: !!python/x y"])
def test_file_that_is_no_description_of_a_model_is_named(
    download: Callable[..., Path], tmp_path: Path, content: bytes
) -> None:
    folder = download()
    (folder / "MLmodel").write_bytes(content)
    with pytest.raises(LostVersionError, match="MLmodel"):
        place_version(folder, tmp_path / "scratch", tmp_path / "to", 1)


@pytest.mark.parametrize("is_folder", [False, True])
def test_symbolic_link_in_a_version_is_not_followed(
    download: Callable[..., Path], precious: Path, tmp_path: Path, *, is_folder: bool
) -> None:
    folder = download()
    (version,) = (path.parent for path in folder.rglob("contract.json"))
    (version / "more").symlink_to(precious if is_folder else precious / "below" / "file")
    with pytest.raises(LostVersionError, match="'more' is a symbolic link"):
        place_version(folder, tmp_path / "scratch", tmp_path / "to", 1)
    assert not (tmp_path / "to").exists()


def test_folder_that_is_not_ours_is_copied(download: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    folder = download(folder=tmp_path / "of somebody else")
    before = sorted(folder.rglob("*"))
    place_version(folder, tmp_path / "scratch", tmp_path / "to", 1)
    assert sorted(folder.rglob("*")) == before
    assert (tmp_path / "to" / "contract.json").exists()


def test_store_pulls_no_tampered_version_and_removes_nothing(
    download: Callable[..., Path], precious: Path, tmp_path: Path, version: Any
) -> None:
    def fetch(number: int, to: Path) -> None:
        folder = download(str(precious), to.parent / "model")
        place_version(folder, to.parent, to, number)

    store = Store(tmp_path / "store")
    with pytest.raises(LostVersionError):
        store.pull(client.RegisteredVersion(1, (), {DIGEST: digest(version.folder)}, "run"), fetch)
    assert (precious / "below" / "file").exists()
    assert list((store.root / "versions").iterdir()) == []


def test_link_changes_the_digest(version: Any, tmp_path: Path) -> None:
    copied = shutil.copytree(version.folder, tmp_path / "version")
    before = digest(copied)
    (copied / "more").symlink_to(tmp_path)
    assert digest(copied) != before
    (copied / "more").unlink()
    (copied / "details.json").rename(tmp_path / "details.json")
    (copied / "details.json").symlink_to(tmp_path / "details.json")
    assert digest(copied) != before, "what a link points to may change later"


def test_registry_whose_artifacts_are_gone_says_so(project: config.Settings, tmp_path: Path) -> None:
    found = client.connect(project.mlflow_tracking_uri, project.model_name)
    found.client.create_registered_model("gone")
    found.client.create_model_version("gone", str(tmp_path / "nowhere"))
    with pytest.raises(LostVersionError, match="version 1"):
        client.Registry(project.mlflow_tracking_uri, "gone").download(1, tmp_path / "to")
