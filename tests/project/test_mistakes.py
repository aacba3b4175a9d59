"""Mistakes that people make, and what they are told."""

import shutil
from pathlib import Path

import pytest

from .conftest import Project

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(project: Project, tmp_path: Path) -> Project:
    """Return a copy of the default project, to break; it shares the environment."""
    copied = project.variant(tmp_path / "copy", "diabetes")
    for folder in ("data", f"{project.package}/model"):
        shutil.copytree(project.path / folder, copied.path / folder, dirs_exist_ok=True)
    return copied


def edit(project: Project, file: str, old: str, new: str) -> None:
    """Replace text in a file of the project."""
    path = project.path / project.package / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_invalid_data_stop_the_training_before_the_fit_with_every_violation(copy: Project) -> None:
    table = copy.path / "data/titanic.csv"
    lines = table.read_text().replace(",male,", ",man,", 2).replace("2nd", "second", 1).splitlines()
    lines[1] = lines[1].replace("29.0", "-29")
    table.write_text("\n".join(line.rsplit(",", 2)[0] + "," + line.rsplit(",", 1)[1] for line in lines) + "\n")
    edit(copy, "model/schema.py", "parents_children: int = Field(default=0, ", "parents_children: int = Field(")
    said = copy.make("train", ok=False)
    assert "sex: 2 of 1309 rows (row 1: 'man', row 3: 'man'); expected one of 'female', 'male'" in said
    assert "age: 1 of 1309 rows (row 0: -29.0); expected a number, at least 0 and at most 120, or missing" in said
    assert "passenger_class: 1 of 1309 rows" in said
    assert "parents_children: the column is missing; expected a whole number" in said
    assert "fit" not in said.split("Error:")[0]


def test_single_class_and_empty_data_are_reported(copy: Project) -> None:
    table = copy.path / "data/titanic.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *(line for line in lines if line.endswith(",1"))]) + "\n")
    assert "survived: the label is True in all 500 rows; two classes are needed" in copy.make("train", ok=False)
    table.write_text(lines[0] + "\n")
    assert "no rows" in copy.make("train", ok=False)
    table.write_text("")
    assert "model/data.py, line" in copy.make("train", ok=False)


def test_errors_in_the_four_files_name_file_and_line(copy: Project) -> None:
    edit(copy, "model/pipeline.py", "max_leaf_nodes=8", "max_leaf_nodes=-1")
    assert "model/pipeline.py: InvalidParameterError" in copy.make("train", ok=False)
    edit(copy, "model/schema.py", "fare: float | None", "fare: dict | None")
    said = copy.make("train", ok=False)
    assert "model/schema.py" in said
    assert "Row.fare" in said
    edit(copy, "model/schema.py", "class Row", "clas Row")
    assert "model/schema.py, line" in copy.make("train", ok=False)


def test_failed_gates_leave_the_champion_alone(copy: Project) -> None:
    copy.make("train")
    edit(copy, "model/quality.py", '"roc_auc": {"at_least": 0.80', '"roc_auc": {"at_least": 0.99')
    said = copy.make("train")
    assert "Version 2 stays challenger: roc_auc is 0.86" in said
    assert copy.registry()["aliases"] == {"challenger": 2, "champion": 1}
    refused = copy.make("promote", "VERSION=2", ok=False)
    assert "Version 2 is not promoted: roc_auc is 0.8" in refused
    assert "at least 0.99" in refused
    assert copy.registry()["aliases"]["champion"] == 1
    assert "there are: 2 = challenger, 1 = champion" in copy.make("promote", "VERSION=7", ok=False)

    # Worse than the champion, though above its bounds.
    edit(copy, "model/quality.py", '"roc_auc": {"at_least": 0.99', '"roc_auc": {"at_least": 0.5')
    edit(copy, "model/pipeline.py", "max_iter=150", "max_iter=2")
    said = copy.make("train")
    assert "the champion has 0.86" in said
    assert copy.registry()["aliases"] == {"challenger": 3, "champion": 1}


def test_version_waits_for_approval_where_it_is_required(copy: Project) -> None:
    said = copy.make("train", APPROVAL_REQUIRED="true")
    assert "waits for approval" in said
    assert copy.registry()["aliases"] == {"challenger": 1}
    assert "make promote VERSION=1" in copy.make("deploy", ok=False)
    copy.make("promote", "VERSION=1", "WHY=looked at it")
    registry = copy.registry()
    assert registry["aliases"]["champion"] == 1
    assert registry["history"][0]["why"] == "looked at it"


def test_commands_name_make_train_before_the_first_training(copy: Project) -> None:
    assert "make train" in copy.make("deploy", ok=False)
    assert "make train" in copy.make("serve", ok=False)
    assert "make train" in copy.make("rollback", ok=False)
    assert "make train" in copy.make("predict", "INPUT=data/titanic.csv", "OUTPUT=out.csv", ok=False)
    assert "Nothing is deployed" in copy.make("status")


def test_invalid_settings_are_named(copy: Project) -> None:
    assert "PORT=abc" in copy.make("deploy", ok=False, PORT="abc")
    assert "no scheme" in copy.make("train", ok=False, MLFLOW_TRACKING_URI="mlflow.example.com")
