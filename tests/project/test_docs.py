"""Every command that a project's README and docs/ show, run as a reader would, page by page in the README's order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest
from pages import ELSEWHERE, Block, Page

from .conftest import Project, free_port, needed

pytestmark = pytest.mark.slow

TEMPLATE = Path(__file__).parents[2] / "{{cookiecutter.project_slug}}"
#: The pages in the order in which they are linked; each continues where the one before it ended.
PAGES = ["README.md", *re.findall(r"\]\((docs/\w+\.md)\)", (TEMPLATE / "README.md").read_text())]
#: Tools that a reader has to install.
TOOLS = ("promtool", "prometheus")


@pytest.fixture(scope="module")
def reader(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a project as it was generated, in the environment of the others."""
    copy = project.copy(tmp_path_factory.mktemp("docs") / project.path.name)
    copy.env["MAKEFLAGS"] = "--no-print-directory"
    yield copy
    copy.make("undeploy")


@pytest.fixture(scope="module")
def ports(reader: Project) -> dict[str, str]:
    """Return a free port for each one that the pages name."""
    return {"3000": str(reader.port), "5000": str(free_port()), "9090": str(free_port())}


@pytest.mark.parametrize("name", PAGES)
def test_commands_of_a_page_run(name: str, reader: Project, ports: dict[str, str]) -> None:
    blocks = [block for block in Page(reader.path / name).blocks if block.runs]
    for block in sorted(blocks, key=lambda block: block.text.startswith(TOOLS)):
        if block.text.startswith(TOOLS):
            needed(block.text.split()[0])
        # The other ports are settings, or options in the command itself.
        text = re.sub(r"^make mlflow\b", f"make mlflow ARGS='--port {ports['5000']}'", block.text)
        pages.run(block._replace(text=text), reader.path, reader.env, ports)


def test_endpoint_of_the_page_is_the_example_of_the_file(reader: Project, ports: dict[str, str]) -> None:
    file = reader.path / reader.package / "model/endpoints.py"
    file.write_text(re.sub("^# ?", "", file.read_text(), flags=re.MULTILINE))
    page = Page(reader.path / "docs/serving.md")
    [shown] = [block.text for block in page.blocks if "async def" in block.text]
    assert shown.partition("\n")[2] in file.read_text()
    reader.make("deploy", AUTH="none")
    [call] = [block.text for block in page.blocks if "/labels" in block.text]
    answer = pages.run(Block("sh", call, "[true]"), reader.path, reader.env, ports)
    assert answer == "[true]"


def test_features_of_the_page_are_the_example_of_the_file(reader: Project) -> None:
    file = reader.path / reader.package / "model/features.py"
    before = file.read_text()
    try:
        file.write_text(re.sub("^# ?", "", before, flags=re.MULTILINE))
        [shown] = [
            block.text for block in Page(reader.path / "docs/features.md").blocks if "def features" in block.text
        ]
        assert shown in file.read_text()
        said = reader.make("train")
        assert re.search(r"features .* 6 columns; .* ms for 1000", said)
        assert "ONNX serves" in said
    finally:
        file.write_text(before)


def test_what_cannot_run_here_has_the_options_it_shows(reader: Project) -> None:
    calls = set()
    for name in PAGES:
        page = Page(reader.path / name)
        for line in [line for block in page.blocks if block.language == "sh" for line in block.text.splitlines()]:
            if ELSEWHERE in line:
                assert line.startswith("make "), f"{name}: {line}: nothing here can check it"
                calls.add(reader.run(*shlex.split(line), "--dry-run").strip())
        calls |= {word for word in page.words if re.match(rf"\S*python -m {reader.package} \w", word)}
    assert len(calls) > 1
    for call in calls:
        command, *words = shlex.split(call.partition(f" -m {reader.package} ")[2])
        shown = reader.run(".venv/bin/python", "-m", reader.package, command, "--help")
        assert [word for word in words if word.startswith("--") and not re.search(rf" {word}\b", shown)] == [], call


def test_settings_of_the_pages_can_be_set(reader: Project) -> None:
    blocks = [block for name in PAGES for block in Page(reader.path / name).blocks if block.language == "ini"]
    pairs = dict(line.split("=", 1) for block in blocks for line in block.text.splitlines())
    assert len(pairs) > 3
    unknown = reader.python(
        f"""
import json, mlflow.environment_variables
from {reader.package} import config
known = {{getattr(variable, "name", "") for variable in vars(mlflow.environment_variables).values()}}
own = {{name.lower(): value for name, value in {pairs!r}.items() if name not in known}}
config.Settings(**own)
print(json.dumps(sorted(own.keys() - config.Settings.model_fields.keys())))
"""
    )
    assert unknown == []


def test_routes_of_the_page_are_served(reader: Project) -> None:
    reader.make("deploy", AUTH="none")
    documented = reader.python(
        f"""
import json, urllib.request
paths = json.load(urllib.request.urlopen("{reader.url}/docs.json"))["paths"]
print(json.dumps([f"{{method.upper()}} {{path}}" for path, methods in paths.items() for method in methods]))
"""
    )
    served = {re.sub(r"\{\w+\}|(?<=models/)[\w-]+", "*", route) for route in documented} | {"GET /", "GET /docs.json"}
    words = Page(reader.path / "docs/serving.md").words
    shown = {re.sub(r"\{\w+\}", "*", word) for word in words if re.match(r"(GET|POST) /[^<]*$", word)}
    assert len(shown) > 10
    assert shown <= served
