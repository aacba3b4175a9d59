"""Versions on disk: whole and verified, or not there at all."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.names import DIGEST
from titanic_survival.toolkit.registry.client import RegisteredVersion
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.version.artifact import Artifact, digest


class Origin:
    """Something to download from; counts how often that was done."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder, self.times = folder, 0
        folder.mkdir()
        (folder / "model.txt").write_text(text)

    @property
    def digest(self) -> str:
        """What the registry would say."""
        return digest(self.folder)

    @property
    def version(self) -> RegisteredVersion:
        """Version 3, as the registry has it."""
        return registered(3, self.digest)

    def download(self, version: int, to: Path) -> None:
        """Copy the files."""
        self.times += 1
        shutil.copytree(self.folder, to)


def registered(number: int, digest: str) -> RegisteredVersion:
    return RegisteredVersion(number, (), {DIGEST: digest}, "run")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin", "one")


def content(store: Store) -> dict[str, str]:
    root = store.root / "versions"
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def half(version: int, to: Path) -> None:
    """Break off in the middle of a download."""
    to.mkdir()
    (to / "model.txt").write_text("o")
    raise ConnectionError("the line broke")


def changed(version: int, to: Path) -> None:
    """Bring other files than the registry has."""
    to.mkdir()
    (to / "model.txt").write_text("another")


def test_version_is_downloaded_once(store: Store, origin: Origin) -> None:
    for _ in range(2):
        assert store.pull(origin.version, origin.download) == store.path(3)
    assert content(store) == {"3/model.txt": "one"}
    assert origin.times == 1


@pytest.mark.parametrize(("download", "error"), [(half, ConnectionError), (changed, UserError)])
def test_broken_download_leaves_no_trace(
    store: Store, download: Callable[[int, Path], None], error: type[Exception]
) -> None:
    with pytest.raises(error):
        store.pull(registered(3, "0" * 64), download)
    assert list((store.root / "versions").iterdir()) == []


@pytest.mark.parametrize(("download", "error"), [(half, ConnectionError), (changed, UserError)])
def test_broken_download_leaves_what_was_there(
    store: Store, origin: Origin, download: Callable[[int, Path], None], error: type[Exception]
) -> None:
    store.pull(origin.version, origin.download)
    with pytest.raises(error):
        store.pull(registered(3, "0" * 64), download)
    assert content(store) == {"3/model.txt": "one"}
    assert [path.name for path in (store.root / "versions").iterdir()] == ["3"]


def test_message_names_both_digests(store: Store, origin: Origin) -> None:
    with pytest.raises(UserError, match=f"{origin.digest[:12]}, but the registry has 000000000000"):
        store.pull(registered(3, "0" * 64), origin.download)


def test_same_number_of_another_registry_is_fetched_again(store: Store, origin: Origin, tmp_path: Path) -> None:
    other = Origin(tmp_path / "other", "two")
    store.pull(origin.version, origin.download)
    store.pull(other.version, other.download)
    assert content(store) == {"3/model.txt": "two"}


def test_version_changed_on_disk_is_fetched_again(store: Store, origin: Origin) -> None:
    store.pull(origin.version, origin.download)
    (store.path(3) / "model.txt").write_text("spoilt")
    store.pull(origin.version, origin.download)
    assert content(store) == {"3/model.txt": "one"}


def test_version_is_read_again_only_when_it_was_touched(
    store: Store, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.pull(origin.version, origin.download)
    assert store.holds(3, origin.digest)
    assert not store.holds(3, "0" * 64)
    expected, reads = origin.digest, list[Path]()
    monkeypatch.setattr(
        "titanic_survival.toolkit.release.store.digest", lambda path: reads.append(path) or digest(path)
    )
    assert store.holds(3, expected)
    assert reads == []
    (store.path(3) / "model.txt").write_text("one")
    assert store.holds(3, expected)
    assert len(reads) == 1
    (store.path(3) / "model.txt").unlink()
    assert not store.holds(3, expected)


def test_version_that_cannot_be_read_is_named(store: Store, origin: Origin) -> None:
    store.pull(origin.version, origin.download)
    for number in (3, 4):
        with pytest.raises(UserError, match=f"Version {number} cannot be read"):
            store.load(number)


RELEASE = Release.now("model", 2, {1: (), 2: ("champion",)})


def test_release_is_read_as_written(store: Store) -> None:
    assert store.release() is None
    store.write(RELEASE)
    assert store.release() == RELEASE
    store.write(None)
    assert store.release() is None


def test_release_keeps_the_keys_that_running_services_read(store: Store) -> None:
    store.write(Release.now("model", 2, {2: ()}, digests={2: "0"}, weights={2: 100}, shadows=(2,)))
    content = json.loads((store.root / "release.json").read_bytes())
    assert set(content) == {"model", "champion", "versions", "digests", "shares", "shadows", "created"}
    assert content["shares"] == {"2": 100}
    release = store.release()
    assert release is not None
    assert release.weights == {2: 100}


def test_release_that_cannot_be_written_leaves_the_one_before(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(RELEASE)
    names = sorted(path.name for path in store.root.iterdir())

    def full(self: Path, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        store.write(Release.now("model", 1, {1: ("champion",)}))
    assert store.release() == RELEASE
    assert sorted(path.name for path in store.root.iterdir()) == names


def test_release_may_be_read_by_a_service_of_another_user(store: Store) -> None:
    store.write(RELEASE)
    plain = store.root / "plain"
    plain.touch()
    assert stat.S_IMODE((store.root / "release.json").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_problem_is_read_as_written_and_takes_no_more_room(store: Store) -> None:
    assert store.problem() == ""
    sizes = set()
    for problem in ("no room", "é" * 5000, ""):
        store.set_problem(problem)
        assert problem.startswith(store.problem())
        assert bool(store.problem()) is bool(problem)
        sizes.add((store.root / "problem.txt").stat().st_size)
    assert len(sizes) == 1


def test_release_that_cannot_be_read_is_named(store: Store) -> None:
    store.write(RELEASE)
    (store.root / "release.json").write_text("{}")
    with pytest.raises(UserError, match=r"release\.json cannot be read"):
        store.release()


def test_same_release_at_another_time_is_the_same(store: Store) -> None:
    assert RELEASE.same_as(Release.now("model", 2, {1: (), 2: ("champion",)}))
    assert not RELEASE.same_as(Release.now("model", 1, {1: (), 2: ("champion",)}))
    assert not RELEASE.same_as(None)


def test_pull_sweeps_what_a_killed_pull_left(version: Artifact, tmp_path: Path) -> None:
    store = Store(tmp_path)
    left = [tmp_path / "versions" / ".4-abc", tmp_path / "versions" / ".7-removed", tmp_path / ".release.123"]
    for path in left[:2]:
        path.mkdir(parents=True)
    left[2].write_text("")
    young = tmp_path / "versions" / ".5-young"
    young.mkdir()
    for path in left:
        os.utime(path, (0, 0))
    store.pull(registered(1, digest(version.folder)), lambda _, to: shutil.copytree(version.folder, to))
    assert [path for path in left if path.exists()] == []
    assert young.exists()
    assert store.versions() == [1]


@pytest.mark.parametrize("content", [b"", b'{"model":', b"\xff", None])
def test_release_that_cannot_be_read_is_named_and_replaced(tmp_path: Path, content: bytes | None) -> None:
    store = Store(tmp_path)
    if content is None:
        (tmp_path / "release.json").mkdir()
    else:
        (tmp_path / "release.json").write_bytes(content)
    with pytest.raises(UserError, match=r"release\.json cannot be read"):
        store.release()
    assert store.readable_release() is None


def test_other_aliases_serve_the_same() -> None:
    named = Release.now("model", 2, {1: ("canary",), 2: ("champion", "challenger")})
    assert not RELEASE.same_as(named)
    assert RELEASE.same_but_for_aliases(named)
    assert not RELEASE.same_but_for_aliases(Release.now("model", 2, {2: ("champion",)}))
    assert not RELEASE.same_but_for_aliases(Release.now("model", 1, {1: (), 2: ("champion",)}))
