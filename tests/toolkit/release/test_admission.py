"""Which versions come into the store: of a trusted signer and of this model, or none that is a pickle."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.names import DIGEST
from titanic_survival.toolkit.registry.client import RegisteredVersion
from titanic_survival.toolkit.release.admission import Admission
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.version import signature
from titanic_survival.toolkit.version.artifact import FEATURES, ONNX, Artifact, digest
from titanic_survival.toolkit.version.signature import KeySigner, TrustedSigners

MODEL = "titanic"


@pytest.fixture
def signed(version: Artifact, keys: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes the folder of a signed version of a model and a run."""
    signer = KeySigner(keys().private)

    def signed(run: str, model: str = MODEL) -> Path:
        folder = tmp_path / f"{model}-{run}"
        shutil.copytree(version.folder, folder)
        details = json.loads((folder / "details.json").read_bytes()) | {"model_name": model, "run_id": run}
        (folder / "details.json").write_text(json.dumps(details))
        signer.sign(folder)
        return folder

    return signed


@pytest.fixture
def store(tmp_path: Path, keys: Callable[..., Any]) -> Store:
    """Return a store that admits what the key has signed."""
    return Store(tmp_path / "store", Admission(MODEL, TrustedSigners(tmp_path / "key.pub")))


def pull(store: Store, number: int, run: str, folder: Path) -> Path:
    """Pull a version of which the registry has the digest and the run."""
    registered = RegisteredVersion(number, (), {DIGEST: digest(folder)}, run)
    return store.pull(registered, lambda _, to: shutil.copytree(folder, to))


def test_signed_version_of_this_model_and_run_comes_into_the_store(store: Store, signed: Callable[..., Path]) -> None:
    pull(store, 3, "three", signed("three"))
    assert store.versions() == [3]


@pytest.mark.parametrize(
    ("run", "model", "said"),
    [
        ("two", MODEL, "it was signed as one of titanic by run two, not of titanic by run three"),
        ("three", "churn", "it was signed as one of churn by run three, not of titanic"),
    ],
)
def test_valid_signature_of_another_version_or_model_is_refused(
    store: Store, signed: Callable[..., Path], run: str, model: str, said: str
) -> None:
    """Whoever exchanges two versions may change the tags with their digests too."""
    with pytest.raises(UserError, match=f"Version 3 is refused, since {said}.* VERIFY_KEY=.*SIGNING_KEY"):
        pull(store, 3, "three", signed(run, model))
    assert list((store.root / "versions").iterdir()) == []


def test_version_that_is_not_signed_is_refused_and_what_was_there_stays(
    store: Store, signed: Callable[..., Path]
) -> None:
    pull(store, 3, "three", signed("three"))
    other = signed("other")
    (other / signature.FILE).unlink()
    with pytest.raises(UserError, match="Version 3 is refused, since it is not signed"):
        pull(store, 3, "other", other)
    assert json.loads((store.path(3) / "details.json").read_bytes())["run_id"] == "three"


def test_changed_version_is_refused_though_the_registry_has_its_digest(
    store: Store, signed: Callable[..., Path]
) -> None:
    folder = signed("three")
    with (folder / "profile.json").open("a") as file:
        file.write(" ")
    with pytest.raises(UserError, match=r"Version 3 is refused, since .*that were signed \(profile.json\)"):
        pull(store, 3, "three", folder)


def test_version_that_came_before_the_key_was_set_is_refused(
    store: Store, signed: Callable[..., Path], version: Artifact
) -> None:
    pull(Store(store.root), 3, "three", version.folder)
    with pytest.raises(UserError, match="Version 3 is refused, since it is not signed"):
        pull(store, 3, "three", version.folder)


def test_version_is_verified_once(store: Store, signed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, verified = signed("three"), list[Path]()
    problem = signature.Verifier.problem
    monkeypatch.setattr(signature.Verifier, "problem", lambda self, path: verified.append(path) or problem(self, path))
    for _ in range(3):
        pull(store, 3, "three", folder)
    assert len(verified) == 1
    with (store.path(3) / "profile.json").open("a") as file:
        file.write(" ")
    pull(store, 3, "three", folder)
    assert (store.path(3) / "profile.json").read_bytes() == (folder / "profile.json").read_bytes()


def without_onnx(folder: Path) -> None:
    (folder / ONNX).unlink(missing_ok=True)


def with_features(folder: Path) -> None:
    (folder / FEATURES).touch()


@pytest.mark.parametrize(("change", "said"), [(without_onnx, "model.pkl"), (with_features, "features.pkl")])
def test_pickle_needs_a_signature_or_a_permission(
    version: Artifact, tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "version"
    shutil.copytree(version.folder, folder)
    (folder / ONNX).touch()
    change(folder)
    strict = Store(tmp_path / "strict", Admission(MODEL, allow_pickle=False))
    with pytest.raises(UserError, match=f"Version 3 is refused, since {said} can run any code.*ALLOW_PICKLE=1"):
        pull(strict, 3, "three", folder)
    assert strict.versions() == []
    pull(Store(tmp_path / "lax", Admission(MODEL, allow_pickle=True)), 3, "three", folder)


def test_pickle_of_a_signed_version_needs_no_permission(
    signed: Callable[..., Path], keys: Callable[..., Any], tmp_path: Path
) -> None:
    folder = signed("three")
    without_onnx(folder)
    KeySigner(tmp_path / "key.pem").sign(folder)
    store = Store(tmp_path / "store", Admission(MODEL, TrustedSigners(tmp_path / "key.pub"), allow_pickle=False))
    pull(store, 3, "three", folder)
    assert store.versions() == [3]


def test_version_of_onnx_alone_needs_no_permission(version: Artifact, tmp_path: Path) -> None:
    if not version.has_onnx or version.has_features:
        pytest.skip("Python serves this model")
    pull(Store(tmp_path / "store", Admission(MODEL, allow_pickle=False)), 3, "three", version.folder)
