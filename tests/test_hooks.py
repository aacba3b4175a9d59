"""The hooks: what is rejected and why, and what is recorded."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import post_gen_project
import pre_gen_project
import pytest
from conftest import ROOT, Bake, Cookiecutter, locked
from pre_gen_project import FOLDERS, LIBRARIES, problems

GOOD: dict[str, object] = {
    "project_name": "Titanic survival",
    "description": "Who survives.",
    "author": "Data Science",
    "project_slug": "titanic-survival",
    "package_name": "titanic_survival",
    "model_name": "titanic-survival",
    "mlflow_tracking_uri": "",
}

BAD_SLUGS = {
    "My Model": "my-model",
    "Modèle": "modele",
    "my_model": "my-model",
    "-model": "model",
    "model-": "model",
    "a--b": "a-b",
    "2024-sales": "model-2024-sales",
    "titanic\n": "titanic",
    "sales-٣": "sales",
    "../escape": "escape",
    "a/b": "a-b",
    "🚢": "my-model",
    "": "my-model",
    "x" * 41: "x" * 40,
    "mlflow": "mlflow-model",
    "scikit-learn": "scikit-learn-model",
}
BAD_PACKAGES = {
    "My Model": "my_model",
    "my-model": "my_model",
    "_model": "model",
    "2024_sales": "model_2024_sales",
    "sales\n": "sales",
    "sales٣": "sales",
    "größe": "grosse",
    "": "my_model",
    "class": "class_model",
    "match": "match_model",
    "json": "json_model",
    "statistics": "statistics_model",
    "sklearn": "sklearn_model",
    "mlflow": "mlflow_model",
    "tests": "tests_model",
    "data": "data_model",
    "store": "store_model",
    "build": "build_model",
    "log": "log_model",
    "tokens": "tokens_model",
}
BAD_MODELS = {
    "Titanic": "titanic",
    "team/titanic": "team-titanic",
    "titanic:1": "titanic-1",
    "titanic@champion": "titanic-champion",
    ".titanic": "titanic",
    "titanic\n": "titanic",
    "": "my-model",
    "x" * 61: "x" * 60,
}
BAD_URIS = {
    "mlflow.example.com:5000": "http://mlflow.example.com:5000",
    "mlflow.example.com": "http://mlflow.example.com",
    "http:/mlflow.example.com": "http://mlflow.example.com",
    "HTTPS://mlflow.example.com": "https://mlflow.example.com",
    "https://": "https://mlflow.example.com",
    "http://mlflow.example.com:99999": "https://mlflow.example.com",
    "http://[::1": "https://mlflow.example.com",
    "http://anna@mlflow.example.com/base": "http://mlflow.example.com/base",
    "http://anna:secret@mlflow.example.com": "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    "postgresql://anna:secret@db/mlflow": "MLFLOW_TRACKING_URI",
    "postgresql://": "postgresql://host/database",
    "file:///home/anna/mlruns": "sqlite:////home/anna/mlruns/mlflow.db",
    "./mlruns": "sqlite:////path/to/mlruns/mlflow.db",
    "sqlite://": "sqlite:////path/to/mlflow.db",
    "ftp://mlflow.example.com": "http, https, sqlite",
    "http://mlflow.example.com/a b": "%20",
    "http://mlflow.example.com\n": "%20",
    'http://mlflow.example.com/"': "%20",
    "sqlite:///C:\\new\\mlflow.db": "%20",
    "http://{{ 7*7 }}": "%20",
    " ": "%20",
}
CASES = [
    (field, value, cure)
    for field, cases in {
        "project_slug": BAD_SLUGS,
        "package_name": BAD_PACKAGES,
        "model_name": BAD_MODELS,
        "mlflow_tracking_uri": BAD_URIS,
        "project_name": {"": "Titanic survival", " \n": "Titanic survival"},
        "description": {"": "Who survives the Titanic."},
        "author": {"\t": "Data Science", "J\udcf6rg": "Data Science"},
    }.items()
    for value, cure in cases.items()
]


def test_valid_answers_are_accepted() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize(("field", "value", "cure"), CASES)
def test_invalid_answer_is_rejected_with_its_value_and_a_cure(field: str, value: str, cure: str) -> None:
    [problem] = problems(GOOD | {field: value})
    shown = value.replace("anna:secret@", "***@").replace("anna@", "***@")
    assert problem.startswith(f"{field} {shown!r}: ")
    assert cure in problem.partition(": ")[2]
    assert "secret" not in problem


@pytest.mark.parametrize("field", ["project_slug", "package_name", "model_name"])
def test_suggested_names_can_themselves_be_used(field: str) -> None:
    for value in [*BAD_SLUGS, *BAD_PACKAGES, *BAD_MODELS, *LIBRARIES, *FOLDERS]:
        for problem in problems(GOOD | {field: value}):
            suggestion = re.search("e.g. '(.*)'$", problem)
            assert suggestion, problem
            assert problems(GOOD | {field: suggestion[1]}) == [], problem


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5000",
        "https://mlflow.example.com/base/path",
        "http://[::1]:5000",
        "sqlite:///mlflow.db",
        "sqlite:////srv/mlflow.db",
        "postgresql://db/mlflow",
        "postgresql+psycopg2://anna@db:5432/mlflow",
        "mysql+pymysql://db/mlflow",
        "mssql+pyodbc://db/mlflow?driver=x",
        "databricks",
        "databricks://profile",
    ],
)
def test_every_kind_of_tracking_address_is_accepted(uri: str) -> None:
    assert problems(GOOD | {"mlflow_tracking_uri": uri}) == []


@pytest.mark.parametrize("name", ["a", "titanic.v2", "titanic_survival", "2024-sales"])
def test_model_name_may_have_dots_and_digits(name: str) -> None:
    assert problems(GOOD | {"model_name": name}) == []


def test_all_invalid_answers_are_named_at_once_and_nothing_is_left(command: Cookiecutter, tmp_path: Path) -> None:
    done = command(
        ROOT, "project_slug=My Model", "package_name=class", "model_name=a/b", "mlflow_tracking_uri=ftp://x", "author= "
    )
    assert done.returncode != 0
    for field in ("author", "project_slug", "package_name", "model_name", "mlflow_tracking_uri"):
        assert re.search(f"^  {field} '", done.stderr, re.MULTILINE), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_hooks_do_no_work_when_they_are_imported() -> None:
    # They were imported above, unrendered; running one rendered would have left by SystemExit.
    assert pre_gen_project.ANSWERS == post_gen_project.ANSWERS == "{{ cookiecutter | jsonify }}"


def test_folders_and_modules_of_a_project_are_rejected_as_package_names(bake: Bake) -> None:
    made = bake(package_name="its_package")
    modules = {path.stem for path in made.iterdir() if path.is_dir() or path.suffix == ".py"} - {"its_package"}
    assert {name for name in modules if name.isidentifier()} <= FOLDERS
    ignored = re.findall(r"^/?([a-z]+)/$", (made / ".gitignore").read_text(), re.MULTILINE)
    assert set(ignored) > {"report", "store"}
    assert set(ignored) <= FOLDERS


def test_locked_distributions_are_rejected_as_names(bake: Bake) -> None:
    assert locked(bake()) - LIBRARIES - sys.stdlib_module_names == set()


def test_baking_works_without_git(bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    made = bake()
    assert not (made / ".git").exists()
    assert json.loads((made / ".cruft.json").read_text())["commit"] is None
