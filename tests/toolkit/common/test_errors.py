"""What a missing library is reported as."""

import re
from pathlib import Path

import pytest
from titanic_survival.toolkit.common.errors import (
    EXTRAS,
    UserError,
    attribute_errors_to,
    explain_missing_extras,
    missing_library,
)


def missing(name: str) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("name", ["mlflow", "mlflow.exceptions"])
def test_missing_library_of_an_extra_is_named_with_its_extra(name: str) -> None:
    with (
        pytest.raises(UserError, match=r"needs mlflow, which is not installed: make setup installs it"),
        explain_missing_extras(),
    ):
        missing(name)


@pytest.mark.parametrize("name", ["mlflow_of_my_own", "numpy", ""])
def test_other_missing_modules_are_reported_as_they_are(name: str) -> None:
    with pytest.raises(ModuleNotFoundError), explain_missing_extras():
        missing(name)


@pytest.mark.parametrize(("name", "cured"), [("lightgbm", True), ("titanic_survival.model.words", False)])
def test_missing_library_of_the_model_is_named_with_the_list_of_the_setup(name: str, cured: bool) -> None:
    model = Path("titanic_survival/model").resolve()
    with (
        pytest.raises(UserError, match=f"No module named '{name}'") as raised,
        attribute_errors_to(model, "pipeline.py"),
    ):
        missing(name)
    assert ("to the list MODEL in setup.py, then: make lock" in str(raised.value)) is cured


def test_library_that_a_pickled_model_needs_is_named_with_the_list_of_the_setup() -> None:
    error = missing_library(ModuleNotFoundError(name="lightgbm.sklearn"), "model")
    assert str(error).startswith("This needs lightgbm, which is not installed: add the package that has it to the list")


def test_extras_are_those_of_the_setup() -> None:
    setup = Path("setup.py").read_text()
    lists = re.findall(r"^(?:TRAIN|PYTHON_MODEL) = \[(.*?)^\]", setup, re.DOTALL | re.MULTILINE)
    listed = {name.replace("scikit-learn", "sklearn") for text in lists for name in re.findall(r'"([a-z0-9_-]+)', text)}
    assert len(lists) == 2
    assert listed >= {library for library, extra in EXTRAS.items() if extra == "train"}
    optional = {extra for extra in EXTRAS.values() if extra != "train"}
    assert {path.stem for path in Path("requirements/extras").glob("*.in")} >= optional
