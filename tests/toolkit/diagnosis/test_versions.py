"""Store and predictions of versions: damage, foreign versions, signatures that are missing, and golden requests."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.findings import Finding
from titanic_survival.toolkit.diagnosis import golden, versions
from titanic_survival.toolkit.registry.registered_model import predict_example
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.version.artifact import ONNX, PICKLE, Artifact, digest
from titanic_survival.toolkit.version.signature import KeySigner, TrustedSigners


@pytest.fixture
def store(project: config.Settings) -> Store:
    """Return a store with a release that names the digest of its version."""
    store = Store(project.store)
    numbers = {1: ("challenger", "champion")}
    store.write(Release.now(project.model_name, 1, numbers, digests={1: digest(store.path(1))}))
    return store


def check(store: Store, key: Path | None = None, *, model: str = "", allow_pickle: bool = True) -> list[Finding]:
    name = model or store.required_release().model
    return list(versions.check(store, name, TrustedSigners(key), allow_pickle=allow_pickle))


def test_whole_store(store: Store) -> None:
    [found] = check(store)
    assert (found.level, found.text) == ("ok", "version 1 = challenger = champion: complete, digests verified")


def test_store_without_release_is_no_finding(tmp_path: Path) -> None:
    assert list(versions.check(Store(tmp_path / "none"), "name", None, allow_pickle=True)) == []


def test_damaged_version(store: Store) -> None:
    with (store.path(1) / PICKLE).open("ab") as file:
        file.write(b"1")
    [found] = check(store)
    assert (found.level, "were changed after the release" in found.text) == ("error", True)
    assert list(golden.check(store, {"batch": golden.batch})) == []


def test_missing_version(store: Store) -> None:
    shutil.rmtree(store.path(1))
    [found] = check(store)
    assert found.level == "error"
    assert found.text == f"version 1 is missing in {store.root / 'versions'}: make deploy downloads it"


def test_torn_release(store: Store) -> None:
    (store.root / "release.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot be read.*make deploy"):
        list(versions.check(store, "name", None, allow_pickle=True))


def test_release_of_another_model_and_failed_sync(store: Store) -> None:
    store.set_problem("MLflow is away")
    foreign, failed, _ = check(store, model="other")
    assert (foreign.level, "MODEL_NAME is other" in foreign.text) == ("warning", True)
    assert (failed.level, failed.text) == ("warning", "the last sync failed: MLflow is away")


def test_signatures_where_a_key_is_set(store: Store, keys: Callable[..., Any]) -> None:
    pair = keys()
    [found] = check(store, pair.public)
    assert (found.level, "served although it is not signed: promote a signed" in found.text) == ("error", True)
    KeySigner(pair.private).sign(store.path(1))
    store.write(Release.now("m", 1, {1: ()}, digests={1: digest(store.path(1))}))
    [found] = check(store, pair.public)
    assert (found.level, found.text.endswith("digests and signatures verified")) == ("ok", True)
    [found] = check(store, keys("other").public)
    assert (found.level, "its signature is none of VERIFY_KEY" in found.text) == ("error", True)


def test_pickle_that_nobody_has_signed(store: Store) -> None:
    assert [found.level for found in check(store, allow_pickle=False)] == ["ok"]
    (store.path(1) / ONNX).unlink()
    store.write(Release.now("m", 1, {1: ()}, digests={1: digest(store.path(1))}))
    [found] = check(store, allow_pickle=False)
    assert (found.level, "model.pkl can run any code and nobody has signed it" in found.text) == ("error", True)


def test_every_way_to_score_is_that_of_the_training_bit_for_bit(store: Store, project: config.Settings) -> None:
    def mlflow(version: golden.Version) -> golden.Predictions:
        return predict_example(project.mlflow_tracking_uri, project.model_name, 1, version.artifact)

    ways = {"batch": golden.batch, "service": golden.in_process, "stream": golden.stream, "mlflow.pyfunc": mlflow}
    [found] = golden.check(store, ways)
    count = len(store.load(1).example.rows)
    text = f"version 1: training = batch = service = stream = mlflow.pyfunc on {count} rows, bit for bit"
    assert (found.level, found.text) == ("ok", text)


def changed(artifact: Artifact, factor: float) -> golden.Predictions:
    """Return the predictions of the training, of which one is multiplied."""
    predictions = [dict(prediction) for prediction in artifact.example.predictions]
    name = next(name for name, value in predictions[1].items() if isinstance(value, float) and value)
    predictions[1][name] *= factor
    return predictions


def test_predictions_that_differ(store: Store) -> None:
    def level(predict: Callable[[golden.Version], golden.Predictions]) -> tuple[str, str]:
        first, *more = golden.check(store, {"one": predict, "batch": golden.batch})
        # The other ways are compared all the same.
        assert [found.text.partition(": ")[2][:16] for found in more] == ["training = batch"]
        return first.level, first.text

    assert level(lambda version: changed(version.artifact, 1 + 1e-7))[0] == "warning"
    found, text = level(lambda version: changed(version.artifact, 1.01))
    assert (found, "for row 1, the training" in text, "make setup, or train again" in text) == ("error", True, True)
    assert "gives 0 predictions" in level(lambda version: [])[1]

    def fail(version: golden.Version) -> golden.Predictions:
        raise ZeroDivisionError("by nothing")

    assert "fails on its example rows by one (ZeroDivisionError: by nothing)" in level(fail)[1]
    found, text = level(golden.by_service("http://127.0.0.1:9", ""))
    assert (found, "no answer from http://127.0.0.1:9/versions/1/predict" in text) == ("warning", True)
