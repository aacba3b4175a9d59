"""What is said of a service that does not start, or predicts something else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.release import image, startup_check
from titanic_survival.toolkit.release.startup_check import Built
from titanic_survival.toolkit.release.store import Release, Store


class Service(NamedTuple):
    """Stands for what was started."""

    answer: str | None = None
    output: str = ""
    ended: bool = False

    def ask(self, path: str, body: str) -> str | None:
        """Return the answer."""
        return self.answer

    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.ended

    def log(self) -> str:
        """Return what it has printed."""
        return self.output


@pytest.fixture
def built(trained: config.Settings) -> Built:
    store = Store(trained.store)
    release = store.release()
    assert release
    return Built("The Bento", "requirements/serve.lock", config.PACKAGE, store, release)


def example(built: Built) -> list[dict[str, Any]]:
    return [{**one, "id": "1", "version": 1} for one in built.store.load(1).example.predictions]


def test_predictions_of_the_training_are_needed(built: Built) -> None:
    answers = example(built)
    assert built.check(Service(json.dumps(answers))) == (
        f"started once, {len(answers)} example rows predicted as at training"
    )
    name, value = next((name, value) for name, value in answers[-1].items() if isinstance(value, float))
    answers[-1][name] = value + 1
    with pytest.raises(UserError, match=rf"predicts {name}=.* for row {len(answers) - 1} of version 1's example"):
        built.check(Service(json.dumps(answers)))


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("ModuleNotFoundError: No module named 'lightgbm.sklearn'", "it needs lightgbm, which requirements/serve.lock"),
        ("Error: This needs pandas, which is not installed: make setup", "it needs pandas, .* MODEL in setup.py, then"),
        (f"No module named '{config.PACKAGE}.model.words'", f"its log:\n  No module named '{config.PACKAGE}"),
        ("libgomp.so.1: cannot open shared object file", "its log:\n  libgomp"),
    ],
)
def test_service_that_ends_is_explained(built: Built, log: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"The Bento does not start(?s:.*){message}"):
        built.check(Service(output=log, ended=True))


def test_service_that_never_answers_is_not_waited_for(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup_check, "START_SECONDS", 1)
    with pytest.raises(UserError, match=r"or does not answer(?s:.*)still loading"):
        built.check(Service(output="still loading"))


def test_endpoints_get_the_libraries_that_they_import(
    trained: config.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(trained.store)
    release: Release | None = store.release()
    assert release
    package = tmp_path / config.PACKAGE
    (package / "model").mkdir(parents=True)
    monkeypatch.setattr(image.dependencies, "PACKAGE", package)
    needed: Callable[[], str] = lambda: image.environment(store, release)  # noqa: E731
    expected = "serve" if store.load(1).has_onnx else "model"
    assert needed() == expected
    endpoints = package / "model" / "endpoints.py"
    endpoints.write_text("import json\nimport numpy\nfrom pydantic import BaseModel\n")
    assert needed() == expected
    endpoints.write_text("import holidays\n")
    assert needed() == "model"
