"""The command line: quick to explain itself, and brief about mistakes."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from titanic_survival import __main__, config
from titanic_survival.toolkit.release.store import Store


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", config.PACKAGE, *arguments],
        cwd=config.ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_lists_every_command_at_once() -> None:
    start = time.perf_counter()
    said = command("--help", COLUMNS="200")
    assert time.perf_counter() - start < 2
    assert said.returncode == 0
    names = [str(info.name or info.callback.__name__) for info in __main__.app.registered_commands if info.callback]
    assert len(names) > 5
    assert [name for name in names if f" {name} " not in said.stdout] == []


def test_help_of_each_command_has_an_example_and_what_comes_next() -> None:
    makefile = (config.ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for info in __main__.app.registered_commands:
        assert info.callback
        assert info.epilog, info.callback
        assert info.epilog.startswith("Example: [bold]make "), info.epilog
        assert "\n\nNext: " in info.epilog
        assert set(re.findall(r"make ([a-z]+)", info.epilog)) <= targets
    said = command("deploy", "--help", COLUMNS="200")
    assert "Example: make deploy" in said.stdout
    assert "Next: make status shows what runs" in said.stdout


def test_commands_have_the_headings_of_their_targets() -> None:
    sections = re.split(r"^##@ (.+)$", (config.ROOT / "Makefile").read_text(), flags=re.MULTILINE)[1:]
    headings = {
        target: heading
        for heading, text in zip(sections[::2], sections[1::2], strict=True)
        for target in re.findall(r"^([a-z]+):", text, re.MULTILINE)
    }
    headings["edits"] = headings["lint"]  # a part of that target
    for info in __main__.app.registered_commands:
        assert info.callback
        assert info.rich_help_panel == headings[info.callback.__name__]


@pytest.mark.parametrize("spins", ["", "7"])
@pytest.mark.parametrize("name", ["train", "tune"])
def test_threads_spin_briefly_before_a_training_loads_openmp(name: str, spins: str) -> None:
    stand_in = (
        "import os, sys, types; "
        "module = types.SimpleNamespace(run=lambda *_: print(os.environ['GOMP_SPINCOUNT'])); "
        f"import {config.PACKAGE} as package; package.train = package.tune = module; "
        f"from {config.PACKAGE}.command_line import training; "
        f"assert not {{'sklearn', 'scipy', 'numpy'}} & sys.modules.keys(); training.{name}('')"
    )
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    said = subprocess.check_output(
        [sys.executable, "-c", stand_in],
        cwd=config.ROOT,
        env=environment | ({"GOMP_SPINCOUNT": spins} if spins else {}),
        text=True,
    )
    assert said == f"{spins or '3000'}\n"


def test_mistake_is_said_in_one_line(tmp_path: Path) -> None:
    said = command("serve", "--no-pull", STORE=str(tmp_path))
    assert (said.returncode, said.stdout) == (1, "")
    (line,) = said.stderr.splitlines()
    assert line.startswith(f"Error: {tmp_path} holds no release to serve.")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in command("serve", "--no-pull", STORE=str(tmp_path), DEBUG="1").stderr


def test_setting_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    said = command("serve", "--no-pull", PORT="many", WORKERS="0", STORE=str(tmp_path))
    assert said.returncode == 1
    assert "PORT=many" in said.stderr
    assert "WORKERS=0" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], ["predict", "one.csv"]])
def test_wrong_use_is_explained(arguments: list[str]) -> None:
    said = command(*arguments)
    assert said.returncode == 2
    assert "Usage" in said.stderr


def test_serve_over_a_damaged_store_is_said_in_one_line_while_the_registry_is_away(project: config.Settings) -> None:
    (project.store / "versions" / "1" / "contract.json").unlink()
    release = Store(project.store).required_release()
    Store(project.store).write(release.model_copy(update={"digests": {1: "the digest of before"}}))
    said = command("serve", STORE=str(project.store), MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert said.returncode == 1
    assert "versions/1 were changed after the release" in said.stderr
    assert "Traceback" not in said.stdout + said.stderr
