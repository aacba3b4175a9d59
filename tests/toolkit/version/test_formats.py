"""Versions of every format are read as if they had been saved today; `formats/make.py` makes their folders."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.columns import as_records, from_rows
from titanic_survival.toolkit.version import artifact, formats
from titanic_survival.toolkit.version.artifact import Artifact

KEPT = Path(__file__).with_name("formats")
NUMBERS = range(1, formats.CURRENT + 1)
RUNTIMES = ("onnx", "python")


@pytest.fixture(params=[(number, runtime) for number in NUMBERS for runtime in RUNTIMES], ids=str)
def folder(request: pytest.FixtureRequest) -> Path:
    number, runtime = request.param
    return KEPT / str(number) / runtime


def test_a_version_of_each_format_is_kept() -> None:
    found = {path.relative_to(KEPT).as_posix() for path in KEPT.glob("*/*") if path.is_dir()}
    assert found == {f"{number}/{runtime}" for number in NUMBERS for runtime in RUNTIMES}
    assert [formats.number(KEPT / str(number) / "onnx") for number in NUMBERS] == list(NUMBERS)


def test_predictions_have_the_bits_of_the_training(folder: Path) -> None:
    version = Artifact(folder)
    assert version.runtime.name == folder.name
    columns = from_rows(version.example.rows, version.contract)
    assert as_records(version.runtime.score(columns), version.contract) == version.example.predictions
    version.verify()


def test_all_parts_are_read_as_those_of_the_current_format(folder: Path) -> None:
    version, current = Artifact(folder), Artifact(KEPT / str(formats.CURRENT) / folder.name)
    # Before format 3, the order of probabilities was that of the model, which no file names.
    assert version.contract.classes == (("high", "low") if current.contract.classes and version_3(folder) else ())
    assert version.contract == current.contract.model_copy(update={"classes": version.contract.classes})
    assert version.example == current.example
    assert version.details == current.details
    assert version.profile == current.profile
    for name, array in current.explainer.background.items():
        np.testing.assert_array_equal(version.explainer.background[name], array)


def version_3(folder: Path) -> bool:
    return formats.number(folder) >= 3


def test_predictions_are_explained(folder: Path) -> None:
    version = Artifact(folder)
    columns = from_rows(version.example.rows, version.contract)
    found = version.explainer.explain(columns, version.runtime.score)
    np.testing.assert_allclose(found.base + found.contributions.sum(axis=1), found.prediction, atol=1e-6)
    assert np.abs(found.contributions).max() > 0


def test_reading_changes_nothing_in_the_folder(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    before = artifact.digest(copy)
    Artifact(copy).verify()
    assert artifact.digest(copy) == before


def test_number_is_part_of_the_digest(tmp_path: Path) -> None:
    source = KEPT / str(formats.CURRENT) / "python"
    copy = Path(shutil.copytree(source, tmp_path / "copy"))
    (copy / formats.FILE).unlink()
    assert formats.number(copy) == 1
    assert artifact.digest(copy) != artifact.digest(source)


def test_newer_format_is_refused_with_the_cure(tmp_path: Path) -> None:
    newer = Path(shutil.copytree(KEPT / str(formats.CURRENT) / "python", tmp_path / "newer"))
    (newer / formats.FILE).write_text(f"{formats.CURRENT + 1}\n")
    (newer / artifact.CONTRACT).write_text("of another form")
    with pytest.raises(UserError) as error:
        Artifact(newer)
    found, newest = f"format {formats.CURRENT + 1};", f"reads is {formats.CURRENT}."
    assert [text for text in (str(newer), found, newest, "make update") if text not in str(error.value)] == []


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "2.0"])
def test_broken_format_number_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / formats.FILE).write_text(text)
    with pytest.raises(UserError, match=r"no format number.*changed"):
        formats.number(tmp_path)
