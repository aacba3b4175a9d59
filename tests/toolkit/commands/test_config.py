"""Settings: where they come from, and where they are explained."""

import re
from pathlib import Path

import pytest
from titanic_survival import config

PAGE = (config.ROOT / "docs/settings.md").read_text()
EXAMPLE = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", (config.ROOT / ".env.example").read_text(), flags=re.MULTILINE))
CREDENTIALS = {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}


def test_every_setting_is_explained_in_the_example_and_nothing_else() -> None:
    assert EXAMPLE.keys() - CREDENTIALS == {name.upper() for name in config.Settings.model_fields}
    assert EXAMPLE.keys() >= CREDENTIALS


def test_the_page_of_settings_has_every_setting_with_its_default_and_its_meaning() -> None:
    def shown(default: object) -> str:
        text = "" if default is None else str(getattr(default, "get_secret_value", lambda: default)())
        return text.replace(f"sqlite:///{config.ROOT}/", "").replace(f"{config.ROOT}/", "")

    rows = re.findall(
        r"^\| `([A-Z_]+)` \|(?: `(.*?)`(?: in the project folder)?)? \| (.+) \|$", PAGE, flags=re.MULTILINE
    )
    fields = config.Settings.model_fields.items()
    assert sorted(rows) == sorted((name.upper(), shown(field.default), field.description) for name, field in fields)


def test_every_value_of_the_example_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in EXAMPLE.items():
        monkeypatch.setenv(name, value)
    config.Settings()


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PORT", "4000")
    monkeypatch.setenv("STORE", str(tmp_path))
    assert (config.settings().port, config.settings().store) == (4000, tmp_path)


def test_everything_lies_in_the_project_folder_where_nothing_is_set() -> None:
    settings = config.Settings()
    assert settings.store.parent == config.ROOT
    assert (config.ROOT / "setup.py").is_file()


def test_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("PORT", "MLFLOW_TRACKING_URI", "TARGET", "APPROVAL_REQUIRED")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    unset = config.Settings().model_dump()
    for name in names:
        monkeypatch.setenv(name, "")
    assert config.Settings().model_dump() == unset
