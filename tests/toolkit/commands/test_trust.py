"""Signed versions and pickles, from the training to where versions are pulled, by the settings."""

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from pydantic import SecretStr
from titanic_survival import config, predict, sync, train
from titanic_survival.shared import trust
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.columns import from_rows
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.training import evaluation
from titanic_survival.toolkit.training.importance import Importance
from titanic_survival.toolkit.version import artifact, signature
from titanic_survival.toolkit.version.frame_scorer import FrameScorer


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave out of a training what takes the most time, and is tested elsewhere."""
    monkeypatch.setattr(train.plots, "draw", lambda *_: None)
    monkeypatch.setattr(evaluation, "importance", lambda *_: Importance({}, 0))


@pytest.fixture
def source(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    path = tmp_path / "in.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def with_keys(settings: config.Settings, pair: Any, **more: Any) -> config.Settings:
    return settings.model_copy(update={"signing_key": pair.private, "verify_key": pair.public, **more})


def registry_of(settings: config.Settings) -> Registry:
    return connect(settings.mlflow_tracking_uri, settings.model_name)


def registered_files(settings: config.Settings, number: int) -> Path:
    """Return the folder of a version in the registry's artifact store."""
    found = mlflow.artifacts.list_artifacts(artifact_uri=f"models:/{settings.model_name}/{number}/artifacts")
    source = mlflow.MlflowClient().get_model_version_download_uri(settings.model_name, str(number))
    (name,) = [Path(entry.path).name for entry in found if entry.is_dir]
    return Path(mlflow.artifacts.download_artifacts(source)) / "artifacts" / name


def test_trained_version_is_signed_and_every_command_verifies_it(
    project: config.Settings, keys: Callable[..., Any], source: Path, tmp_path: Path, quick: None
) -> None:
    settings = with_keys(project, keys(password="secret"), signing_password=SecretStr("secret"))
    output = tmp_path / "out.csv"
    # Version 1 was trained without a key, and stands in the store.
    score = [settings, str(source), str(output), "1"]
    for command in (lambda: sync.run(settings, once=True), lambda: predict.run(*score)):
        with pytest.raises(UserError, match="Version 1 is refused, since it is not signed"):
            command()
    assert not output.exists()
    number = train.run(
        project.model_copy(update={"signing_key": settings.signing_key, "signing_password": SecretStr("secret")})
    )
    registry = registry_of(settings)
    registry.set_alias("champion", number)
    sync.run(settings, once=True)
    folder = Store(settings.store).path(number)
    assert (folder / signature.FILE).is_file()
    assert predict.run(settings, str(source), str(output), str(number)).counts.rejected == 0
    shutil.rmtree(folder)
    # Whoever can write files and tags changes both.
    files_there = registered_files(settings, number)
    with (files_there / "card.md").open("a") as card:
        card.write("Approved.")
    registry.set_version_tags(number, {"digest": artifact.digest(files_there)})
    for command in (
        lambda: sync.run(settings, once=True),
        lambda: predict.run(settings, str(source), str(output), str(number)),
    ):
        with pytest.raises(UserError, match=rf"Version {number} is refused, since .*\(card.md\)"):
            command()
    assert not folder.exists()
    sync.run(project, once=True)  # nobody asked for signatures


def test_training_stops_before_it_makes_what_would_be_refused(
    project: config.Settings, keys: Callable[..., Any]
) -> None:
    ours, theirs = keys("ours"), keys("theirs")
    settings = with_keys(project, ours)
    with pytest.raises(UserError, match=r"VERIFY_KEY=.*theirs.pub refuses what SIGNING_KEY=.*ours.pem signs"):
        train.run(settings.model_copy(update={"verify_key": theirs.public}))
    with pytest.raises(UserError, match=r"VERIFY_KEY=.* is set, .*neither SIGNING_KEY nor SIGNING_KEYLESS"):
        train.run(settings.model_copy(update={"signing_key": None}))
    with pytest.raises(UserError, match="SIGNING_PASSWORD is wrong, or missing"):
        train.run(settings.model_copy(update={"signing_password": SecretStr("unneeded")}))
    assert [version.number for version in registry_of(project).versions()] == [1]


def test_keyless_version_is_signed_and_every_command_verifies_who_did(
    project: config.Settings, sigstore: Any, source: Path, tmp_path: Path, quick: None
) -> None:
    verifying = project.model_copy(
        update={
            "verify_identity": f" ada@example.com, {sigstore.identity} ",
            "verify_issuer": sigstore.url,
            "sigstore_trust_config": sigstore.trust_config,
        }
    )
    with pytest.raises(UserError, match=r"VERIFY_IDENTITY=ada@.* is set, .*neither SIGNING_KEY nor SIGNING_KEYLESS"):
        train.run(verifying)
    with pytest.raises(UserError, match=r"SIGNING_KEY=key.pem and SIGNING_KEYLESS are both set"):
        train.run(verifying.model_copy(update={"signing_key": Path("key.pem"), "signing_keyless": True}))
    # Version 1, the champion, has no signature, and a comparison would open it.
    registry = registry_of(project)
    number = train.run(
        project.model_copy(update={"signing_keyless": True, "sigstore_trust_config": sigstore.trust_config})
    )
    registry.set_alias("champion", number)
    sync.run(verifying, once=True)
    assert (Store(project.store).path(number) / signature.FILE).is_file()
    score = (str(source), str(tmp_path / "out.csv"), str(number))
    assert predict.run(verifying, *score).counts.rejected == 0
    shutil.rmtree(Store(project.store).path(number))
    other = verifying.model_copy(update={"verify_identity": "eve@example.com"})
    with pytest.raises(UserError, match=rf"Version {number} is refused, since {sigstore.identity} signed it"):
        predict.run(other, *score)


def served_by_python(settings: config.Settings) -> None:
    """Make version 1 of the registry one that Python serves."""
    folder = registered_files(settings, 1)
    (folder / artifact.ONNX).unlink(missing_ok=True)
    registry_of(settings).set_version_tags(1, {"digest": artifact.digest(folder)})
    shutil.rmtree(settings.store)


def test_pickle_outside_of_this_machine_needs_a_permission(
    copied: Callable[[Path], config.Settings],
    trained: config.Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = registered_files(trained, 1)
    kept = shutil.copytree(before, tmp_path / "kept")
    settings = copied(tmp_path)
    try:
        served_by_python(settings)
        registry_of(settings).set_alias("champion", 1)
        elsewhere = settings.model_copy(update={"target": "docker"})
        said = "Version 1 is refused, since model.pkl can run any code when opened.*docs/signing.md.*ALLOW_PICKLE=1"

        def pull(settings: config.Settings) -> None:
            registry, store = registry_of(settings), trust.model_store(settings)
            store.pull(registry.get("champion"), registry.download)

        with pytest.raises(UserError, match=said):
            pull(elsewhere)
        pull(elsewhere.model_copy(update={"allow_pickle": True}))
        with pytest.raises(UserError, match=said):
            pull(elsewhere)
        pull(settings)
        # A sync beside the service, or a job: there TARGET is not set.
        monkeypatch.setenv("IMAGE_ENVIRONMENT", "train")
        with pytest.raises(UserError, match=said):
            sync.run(settings, once=True)
    finally:
        shutil.rmtree(before)
        shutil.copytree(kept, before)


class Bomb:
    """Makes a folder when its pickle is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_no_pickle_is_opened_where_onnx_serves(
    project: config.Settings, score_files: Any, source: Path, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    store = Store(project.store)
    folder, opened = store.path(1), tmp_path / "opened"
    if artifact.pickles(folder):
        pytest.skip("Python serves this model")
    (folder / artifact.PICKLE).write_bytes(pickle.dumps(Bomb(opened)))
    version = store.load(1)
    version.verify()
    columns = from_rows(version.example.rows, version.contract)
    version.explainer.explain(columns, version.runtime.score)
    assert version.profile.outliers.rate >= 0
    FrameScorer(folder).predict(pd.DataFrame(rows))
    score_files(version, 1, source, tmp_path / "out.csv")
    live = LiveRelease(project.store)
    live.load()
    assert live.snapshot is not None
    assert not opened.exists()
    with pytest.raises(FileExistsError):
        opened.mkdir()
        version._unpickled(artifact.PICKLE)
