"""The examples: what `make example` generates, and the data behind them."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, files
from pages import Page

import example

FOUR = ("schema.py", "data.py", "pipeline.py", "quality.py")
MAX_BYTES = 300_000


def run(template: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run what `make example` runs in a checkout of the template."""
    return subprocess.run([sys.executable, "example.py", *words], cwd=template, capture_output=True, text=True)


@pytest.mark.parametrize("name", example.names())
def test_example_has_its_four_files_and_little_data(name: str) -> None:
    folder = example.EXAMPLES / name
    assert set(FOUR) <= files(folder) <= {*FOUR, "features.py", *kept(name)}
    assert all(file.stat().st_size < MAX_BYTES for file in (folder / "data").iterdir())
    for path in folder.glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path
        assert "from .." not in path.read_text(), f"{path}: model/ imports nothing of the project"


def kept(name: str) -> set[str]:
    scored = example.details(example.EXAMPLES / name).get("input", f"data/{name}.csv")
    return {"example.json", "data/README.md", "data/generate.py", f"data/{name}.csv", scored}


@pytest.mark.parametrize("name", example.names())
def test_generator_writes_the_data_of_the_example(name: str, tmp_path: Path) -> None:
    shutil.copy(example.EXAMPLES / name / "data" / "generate.py", tmp_path)
    subprocess.run([sys.executable, tmp_path / "generate.py"], check=True)
    written = {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}
    assert written == {path.name: path.read_bytes() for path in (example.EXAMPLES / name).glob("data/*.csv")}
    assert f"{name}.csv" in written


def test_the_readme_shows_the_four_files_of_an_example() -> None:
    shown = [block.text for block in Page(ROOT / "README.md").blocks if block.language == "python"]
    assert shown == [(example.EXAMPLES / "houses" / name).read_text() for name in FOUR]


def test_the_readme_names_every_example() -> None:
    assert set(example.names()) <= set(Page(ROOT / "README.md").words)


def test_example_is_generated_with_its_model_data_and_answers(template: Path, tmp_path: Path) -> None:
    done = run(template, "houses", str(tmp_path))
    project = tmp_path / "house-prices"
    assert (done.returncode, done.stderr) == (0, "")
    for words in (f"cd {project}", "make train", "make deploy"):
        assert f"\n  {words} " in done.stdout
    assert "make lock" not in done.stdout
    for name in FOUR:
        assert (project / "house_prices/model" / name).read_text() == (example.EXAMPLES / "houses" / name).read_text()
    assert files(project / "data") == {"README.md", "generate.py", "houses.csv"}
    record = json.loads((project / ".cruft.json").read_text())
    assert (
        record["context"]["cookiecutter"]["description"] == example.answers(example.EXAMPLES / "houses")["description"]
    )


@pytest.mark.parametrize(("name", "file"), [("houses", "data/houses.csv"), ("demand", "data/tomorrow.csv")])
def test_pages_of_an_example_score_a_file_of_its_own(template: Path, tmp_path: Path, name: str, file: str) -> None:
    assert run(template, name, str(tmp_path)).returncode == 0
    [project] = tmp_path.iterdir()
    assert (project / file).exists()
    for page in ("README.md", "docs/batch.md"):
        assert f"INPUT={file}" in (project / page).read_text()
        assert "titanic.csv" not in (project / page).read_text()


def test_libraries_of_an_example_are_those_of_its_model(template: Path, tmp_path: Path) -> None:
    done = run(template, "churn", str(tmp_path))
    libraries = example.details(example.EXAMPLES / "churn")["libraries"]
    assert "\n  make lock " in done.stdout
    [listed] = re.findall(r"(?ms)^MODEL: .*? = (\[.*?^\])", (tmp_path / "app-churn/setup.py").read_text())
    assert ast.literal_eval(listed) == libraries


def test_nothing_is_overwritten(template: Path, tmp_path: Path) -> None:
    own = tmp_path / "house-prices" / "mine.txt"
    own.parent.mkdir()
    own.write_text("mine")
    done = run(template, "houses", str(tmp_path))
    assert done.returncode == 1
    assert f"{own.parent} exists. Remove it" in done.stdout
    assert files(own.parent) == {"mine.txt"}


@pytest.mark.parametrize(("name", "code"), [("", 0), ("titanics", 1)])
def test_examples_are_listed_with_a_sentence_each(template: Path, name: str, code: int) -> None:
    done = run(template, name, "")
    assert done.returncode == code
    for known in example.names():
        assert f"  {known:<10}  {example.answers(example.EXAMPLES / known)['description']}" in done.stdout
