"""What users read: links lead somewhere, commands name what there is; and the checks find what is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pages
import pytest
from conftest import PACKAGE, PROJECT, Bake, files
from pages import Block, Page, broken_links, wrong_targets

LANGUAGES = {"sh", "python", "ini", "json", "yaml", "text", "mermaid"}
Write = Callable[..., Page]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a page."""

    def page(text: str, name: str = "page.md") -> Page:
        (tmp_path / name).write_text(text)
        return Page(tmp_path / name)

    return page


def markdown(folder: Path) -> list[Page]:
    """Return the pages under a folder."""
    return [Page(folder / path) for path in sorted(files(folder)) if path.endswith(".md")]


def settings(project: Path) -> set[str]:
    """Return the names of a project's environment variables."""
    [config] = project.glob("*/config.py")
    return {name.upper() for name in re.findall(r"^    (\w+): .*Field\(", config.read_text(), re.MULTILINE)}


def test_links_of_the_template_lead_somewhere(template: Path) -> None:
    own = [page for page in markdown(template) if PROJECT not in page.path.parts]
    assert {page.path.name for page in own} >= {"README.md", "CONTRIBUTING.md", "DECISIONS.md", "CHANGELOG.md"}
    assert [link for page in own for link in broken_links(page)] == []


def test_links_of_a_project_lead_somewhere(bake: Bake) -> None:
    found = markdown(bake())
    assert sum(len(page.links) for page in found) > 20
    assert [link for page in found for link in broken_links(page)] == []


def test_the_readme_of_a_project_links_every_page(bake: Bake) -> None:
    project = bake()
    linked = {link.partition("#")[0] for link in Page(project / "README.md").links}
    assert {f"docs/{path.name}" for path in (project / "docs").glob("*.md")} <= linked


def test_the_first_screen_of_a_project_has_its_commands_and_its_four_files(bake: Bake) -> None:
    first = "\n".join((bake() / "README.md").read_text().splitlines()[:30])
    for word in ("make train", "make deploy", "make predict", "schema.py", "data.py", "pipeline.py", "quality.py"):
        assert word in first, word


def test_commands_of_the_template_are_targets(template: Path, bake: Bake) -> None:
    makefiles = (template / "Makefile").read_text() + (template / PROJECT / "Makefile").read_text()
    own, names = [Page(path) for path in template.glob("*.md")], settings(bake())
    assert [command for page in own for command in wrong_targets(page, makefiles, names)] == []


def test_commands_of_a_project_are_targets(bake: Bake) -> None:
    project = bake()
    makefile, found = (project / "Makefile").read_text(), markdown(project)
    assert sum(len(page.makes) for page in found) > 20
    assert [command for page in found for command in wrong_targets(page, makefile, settings(project))] == []


def test_every_code_block_says_its_language(bake: Bake, template: Path) -> None:
    # The changelog is printed by `make update`, so that it is read as text.
    own = [Page(path) for path in template.glob("*.md") if path.name != "CHANGELOG.md"]
    for page in [*markdown(bake()), *own]:
        assert {block.language for block in page.blocks} <= LANGUAGES, page.path.name


def test_metrics_of_the_pages_are_counted(bake: Bake) -> None:
    project = bake()
    sources = [path.read_text() for path in project.glob("*/toolkit/monitoring/*metrics.py")]
    counted = set(re.findall(r'"(model_\w+)"', "".join(sources)))
    named = {word.removesuffix("_total") for page in markdown(project) for word in page.words}
    named = {word for word in named if word.startswith("model_")}
    assert named <= counted
    assert len(named) > 10


def test_the_tree_of_the_template_s_readme_is_the_tree(template: Path) -> None:
    [tree] = [block.text for block in Page(template / "README.md").blocks if "toolkit/" in block.text]
    named = re.findall(r"^ +(\w+)/", tree.partition("toolkit/")[2], re.MULTILINE)
    rooms = [path.name for path in (template / PROJECT / PACKAGE / "toolkit").iterdir() if path.is_dir()]
    assert sorted(named) == sorted(rooms)


@pytest.mark.parametrize("link", ["nowhere.md", "page.md#no-such-heading", "#no-such-heading", "other.md#heading"])
def test_broken_link_is_found(link: str, write: Write) -> None:
    write("# Another heading", "other.md")
    assert broken_links(write(f"# A heading: `code`!\n\n[good](#a-heading-code) [bad]({link})")) == [f"page.md: {link}"]


@pytest.mark.parametrize("command", ["make nonsense", "make train NONSENSE=1", "NONSENSE=1 make train"])
@pytest.mark.parametrize("form", ["`{}`", "```sh\n{}   # reason\n```"])
def test_wrong_target_is_found(command: str, form: str, write: Write) -> None:
    makefile = "train: .venv  ## Train\n\t$(RUN) train $(ARGS)\n"
    good = form.format('PORT=1 make train ARGS="a b"')
    page = write(f"{good}\n\n{form.format(command)}\n")
    assert len(wrong_targets(page, makefile, {"PORT"})) == 1
    assert wrong_targets(write(good), makefile, {"PORT"}) == []


ENVIRONMENT = {"PATH": os.environ["PATH"]}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("false\ntrue\n", "ended with 1"),
        ("echo 1 $UNSET", "ended with"),
        ("true  # until Ctrl-C\n", "ended by itself"),
        ("trap '' INT; sleep 60  # until Ctrl-C\n", "does not end at Ctrl-C"),
    ],
)
def test_command_that_fails_is_found(text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "STOP_SECONDS", 0.5)
    monkeypatch.setattr(pages, "ALIVE_SECONDS", 0.5)
    with pytest.raises(AssertionError, match=fault):
        pages.run(Block("sh", text), tmp_path, ENVIRONMENT, {})


@pytest.mark.parametrize(
    ("printed", "shown"),
    [('{"error": "no"}', ""), ("", ""), ('{"a": 1}', '{"b": 1}'), ('[{"a": {"b": 1}}]', '[{"a": {"c": 1}}]')],
)
def test_answer_that_is_not_the_one_shown_is_found(printed: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / "curl").write_text(f"#!/bin/sh\nprintf '%s' '{printed}'\n")
    (tmp_path / "curl").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{ENVIRONMENT['PATH']}"}
    with pytest.raises(AssertionError):
        pages.run(Block("sh", "curl localhost:1", shown), tmp_path, environment, {"1": "2"})
    assert pages.run(Block("sh", "curl localhost:1", printed), tmp_path, environment, {"1": "2"}) if printed else True


def test_server_runs_until_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ALIVE_SECONDS", 0.5)
    pages.run(Block("sh", "sleep 60  # until Ctrl-C\n"), tmp_path, ENVIRONMENT, {})
