"""Every command that a project's README and docs/ show, run as a reader would, page by page in the README's order."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest
from pages import ELSEWHERE, Page

from .conftest import Project, free_port, needed

pytestmark = pytest.mark.slow

TEMPLATE = Path(__file__).parents[2] / "{{cookiecutter.project_slug}}"
#: The pages, in the order in which they are linked; each goes on where the one before it ended.
PAGES = ["README.md", *re.findall(r"\]\((docs/\w+\.md)\)", (TEMPLATE / "README.md").read_text())]
#: Tools that a reader installs, by the page's own words.
TOOLS = ("promtool", "prometheus")
PORTS = ("3000", "5000", "9090")


class Reader(Project):
    """Someone who pastes every block into a shell."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.ports = {port: str(free_port()) for port in PORTS} | {"3000": str(self.port)}
        self.env["MAKEFLAGS"] = "--no-print-directory"

    def paste(self, block: pages.Block) -> str:
        """Run a block; where a page leaves a default port, another one is taken."""
        text = re.sub(r"^(make mlflow)\b", rf"\1 ARGS='--port {self.ports['5000']}'", block.text, flags=re.MULTILINE)
        return pages.run(block._replace(text=text), self.path, self.env, self.ports)


@pytest.fixture(scope="module")
def reader(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Return a project as it was generated, in the environment of the others."""
    path = tmp_path_factory.mktemp("docs") / project.path.name
    written = shutil.ignore_patterns(".venv", ".bentoml", "store", "log", "mlflow.db*", "mlartifacts", "build")
    shutil.copytree(project.path, path, ignore=written)
    (path / ".venv").symlink_to(project.path / ".venv")
    reader = Reader(path)
    yield reader
    reader.make("undeploy")


@pytest.mark.parametrize("name", PAGES)
def test_commands_of_a_page_run(name: str, reader: Reader) -> None:
    blocks = [block for block in Page(reader.path / name).blocks if block.runs]
    waiting = [block for block in blocks if block.text.startswith(TOOLS)]
    for block in blocks:
        if block not in waiting:
            reader.paste(block)
    for block in waiting:
        needed(block.text.split()[0])
        reader.paste(block)


def test_what_cannot_run_here_has_the_options_it_shows(reader: Reader) -> None:
    calls = set()
    for name in PAGES:
        page = Page(reader.path / name)
        lines = [line for block in page.blocks if block.language == "sh" for line in block.text.splitlines()]
        for line in lines:
            if ELSEWHERE in line:
                assert line.startswith("make "), f"{name}: {line}: nothing here can check it"
                calls.add(reader.run(*shlex.split(line), "--dry-run").strip())
        calls |= {word for word in page.words if re.match(rf"\S*python -m {reader.package} \w", word)}
    assert len(calls) > 1
    for call in calls:
        _, command, *words = shlex.split(call.partition(" -m ")[2])
        shown = reader.run(".venv/bin/python", "-m", reader.package, command, "--help")
        for word in words:
            assert not word.startswith("--") or re.search(rf" {word}\b", shown), call


def test_settings_of_the_pages_can_be_set(reader: Reader) -> None:
    lines = [
        line
        for name in PAGES
        for block in Page(reader.path / name).blocks
        if block.language == "ini"
        for line in block.text.splitlines()
    ]
    pairs = dict(line.split("=", 1) for line in lines)
    assert len(pairs) > 3
    unknown = reader.python(
        f"""
import json, mlflow.environment_variables as mlflow
from {reader.package} import config
pairs = {pairs!r}
own = {{name.lower(): value for name, value in pairs.items() if not hasattr(mlflow, name)}}
config.Settings(**own)
print(json.dumps(sorted(own.keys() - config.Settings.model_fields.keys())))
"""
    )
    assert unknown == []


def test_routes_of_the_page_are_served(reader: Reader) -> None:
    reader.env["AUTH"] = "none"
    reader.make("deploy")
    documented = reader.python(
        f"""
import json, urllib.request
paths = json.load(urllib.request.urlopen("{reader.url}/docs.json"))["paths"]
print(json.dumps([f"{{method.upper()}} {{path}}" for path, methods in paths.items() for method in methods]))
"""
    )
    served = {re.sub(r"\{\w+\}", "*", route) for route in documented} | {"GET /", "GET /docs.json"}
    table = Page(reader.path / "docs/serving.md")
    shown = {re.sub(r"\{\w+\}", "*", word) for word in table.words if re.match("(GET|POST) /", word)}
    assert len(shown) > 10
    model = {route.replace("/titanic-survival/", "/*/") for route in served}
    assert shown <= served | model, shown - served - model
