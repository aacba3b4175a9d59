"""A version on disk: complete, verifiable, independent of later changes to the project."""

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.columns import plain
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.version import artifact, formats
from titanic_survival.toolkit.version.contents import Contents


class Row(BaseModel):
    """One number."""

    amount: float


class Prediction(BaseModel):
    """Another number."""

    answer: float


class Factor:
    """A hand-written model."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def predict(self, frame: pd.DataFrame) -> Any:
        """Return the multiples."""
        return frame["amount"].to_numpy() * self.factor


EXAMPLES = [{"amount": 1.0}, {"amount": 2.5}]


@pytest.fixture
def saved(save: Callable[..., artifact.Artifact]) -> artifact.Artifact:
    return save(Row, Prediction, Factor(2), EXAMPLES)


def test_loaded_version_is_what_was_saved(saved: artifact.Artifact) -> None:
    loaded = artifact.Artifact(saved.folder)
    loaded.verify()
    assert formats.number(saved.folder) == formats.CURRENT
    assert loaded.contract == derive(Row, Prediction)
    assert loaded.example.predictions == [{"answer": 2.0}, {"answer": 5.0}]
    assert loaded.runtime.score({"amount": np.array([3], np.float32)})["answer"].tolist() == [6]


def test_trained_version_is_verified(version: artifact.Artifact) -> None:
    version.verify()
    assert version.example.rows


def test_version_that_predicts_nan_is_verified(save: Callable[..., artifact.Artifact]) -> None:
    saved = save(Row, Prediction, Factor(float("nan")), EXAMPLES, name="nothing")
    assert saved.example.predictions[0]["answer"] is None
    saved.verify()


def test_changed_model_is_detected(save: Callable[..., artifact.Artifact], saved: artifact.Artifact) -> None:
    other = save(Row, Prediction, Factor(3), EXAMPLES, name="other")
    shutil.copy(other.folder / "model.pkl", saved.folder)
    with pytest.raises(UserError, match="row 0"):
        artifact.Artifact(saved.folder).verify()


@pytest.mark.parametrize("part", ["rows", "predictions"])
def test_changed_example_is_detected(saved: artifact.Artifact, part: str) -> None:
    path = saved.folder / "example.json"
    example = json.loads(path.read_text())
    example[part][1] = dict.fromkeys(example[part][1], 7.0)
    path.write_text(json.dumps(example))
    with pytest.raises(UserError, match="row 1"):
        artifact.Artifact(saved.folder).verify()


def test_shortened_example_is_detected(saved: artifact.Artifact) -> None:
    path = saved.folder / "example.json"
    example = json.loads(path.read_text())
    path.write_text(json.dumps(example | {"predictions": example["predictions"][:1]}))
    with pytest.raises(UserError):
        artifact.Artifact(saved.folder).verify()


def test_digest_knows_every_name_and_every_byte(saved: artifact.Artifact) -> None:
    digests = [artifact.digest(saved.folder)]
    for path in sorted(saved.folder.iterdir()):
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        digests.append(artifact.digest(saved.folder))
        path.write_bytes(before)
        assert artifact.digest(saved.folder) == digests[0]
    (saved.folder / "card.md").rename(saved.folder / "note.md")
    digests.append(artifact.digest(saved.folder))
    assert len(set(digests)) == len(digests)


def test_digest_does_not_depend_on_the_place(saved: artifact.Artifact, tmp_path: Path) -> None:
    shutil.copytree(saved.folder, tmp_path / "elsewhere")
    assert artifact.digest(tmp_path / "elsewhere") == artifact.digest(saved.folder)


def test_version_outlives_the_next_change_to_its_code(
    saved: artifact.Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "owners"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "pipeline.py").write_text("class Mine:\n    predict = lambda self, rows: rows['amount'].to_numpy() + 1")
    monkeypatch.syspath_prepend(tmp_path)
    mine = Contents(
        contract=saved.contract,
        model=importlib.import_module("owners.pipeline").Mine(),
        onnx=None,
        example=artifact.Example(rows=EXAMPLES, predictions=[{"answer": 2.0}, {"answer": 3.5}]),
        background={"amount": np.array([1, 2.5], np.float32)},
        profile=saved.profile,
        details={},
        card="",
        lock=saved.folder / artifact.LOCK,
    )
    folder = mine.save(tmp_path / "mine", importlib.import_module("owners")).folder
    shutil.rmtree(package)
    for name in ("owners", "owners.pipeline"):
        monkeypatch.delitem(sys.modules, name)
    artifact.Artifact(folder).verify()


def test_numbers_are_said_in_the_shortest_form_of_the_same_float32() -> None:
    assert plain(np.array([0.1, 16777216, 3.4e38], np.float32)) == [0.1, 16777216, 3.4e38]
    assert plain(np.array([[0.2, 0.3]], np.float32)) == [[0.2, 0.3]]


TRAINED = {"grade": "b", "score": None, "probabilities": [0.2, 0.8], "by_name": {"a": 0.2, "b": 0.8}}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"id": "1", "version": 3}, True),
        ({"probabilities": [0.2000001, 0.7999999]}, True),
        ({"probabilities": [0.3, 0.7]}, False),
        ({"by_name": {"a": 0.3, "b": 0.7}}, False),
        ({"grade": "a"}, False),
        ({"score": 0.0}, False),
    ],
)
def test_served_predictions_are_compared_in_every_field(change: dict[str, Any], same: bool) -> None:
    assert artifact.same_predictions([TRAINED], [TRAINED | change]) is same


def test_served_predictions_have_all_rows_and_fields_of_the_training() -> None:
    assert not artifact.same_predictions([TRAINED, TRAINED], [TRAINED])
    assert not artifact.same_predictions([TRAINED], [{"grade": "b"}])
