"""Hostile answers: free text comes back exactly as it was given, and never becomes code."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake, Cookiecutter
from test_bake import metadata

FIELDS = {"PROJECT_NAME": "project_name", "DESCRIPTION": "description", "AUTHOR": "author"}
# Cookiecutter itself renders answers that are handed to it, which takes a last newline away and makes \r\n to \n.
HOSTILE = {
    "single quotes": "it's 'theirs'",
    "double quotes": 'the "best" model',
    "both quotes": """'"'"''""",
    "triple double quotes": 'one """ two """ three',
    "triple single quotes": "one ''' two ''' three",
    "quote at the end": 'ends with "',
    "backslash": r"C:\new\table \N{BULLET} \x41 \u0041",
    "backslash at the end": "ends with \\",
    "backslash and quote at the end": 'ends with \\"',
    "newlines": "\none\n\n  two\n# three",
    "tab and control characters": "a\tb\x00c\x1bd\x85e\u2028f",
    "single braces": "{name} {0} {} }{",
    "percent signs": "100 % of %s and %(x)r",
    "dollar signs": "$HOME ${HOME} $(id) `id`",
    "comment": "# fmt: on  # noqa",
    "code": '"; import os; os.system("touch harmed"); "',
    "code after a newline": "x\nimport os\nos.system('touch harmed')\n",
    "code after triple quotes": '"""\nimport os; os.system("touch harmed")\nr"""',
    "markup": "[bold]<script>alert(1)</script>[/bold] &amp; </title>",
    "emoji": "🚢 титаник 船 é e\u0301",
    "right to left": "\u202eabc\u202c שלום",
    "long": "word " * 2000,
}


def constants(project: Path) -> dict[str, Any]:
    """Return the constants of a project's config.py, as Python reads them; nothing is run."""
    [config] = project.glob("*/config.py")
    tree = ast.parse(config.read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue  # computed, as ROOT is
    return found


def recorded(project: Path) -> dict[str, str]:
    """Return the answers that a project remembers."""
    context: dict[str, dict[str, str]] = json.loads((project / ".cruft.json").read_text())["context"]
    return context["cookiecutter"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_comes_back_as_it_was_given(text: str, bake: Bake, tmp_path: Path) -> None:
    made = bake(project_slug="hostile", **dict.fromkeys(FIELDS.values(), text))
    assert {name: constants(made)[name] for name in FIELDS} == dict.fromkeys(FIELDS, text)
    assert {name: recorded(made)[name] for name in FIELDS.values()} == dict.fromkeys(FIELDS.values(), text)
    assert metadata(made)["description"] == metadata(made)["author"] == " ".join(text.split())
    assert not list(tmp_path.rglob("harmed"))


def test_braces_typed_at_the_prompt_are_not_rendered(command: Cookiecutter, tmp_path: Path, template: Path) -> None:
    typed = ["{{ 7*7 }} {% raw %}", "{# gone? #} {{ cookiecutter.author }}", "{{ ''.__class__ }}", "braces", "", "", ""]
    done = command(template, typed=typed)
    assert done.returncode == 0, done.stderr
    found = constants(tmp_path / "braces")
    assert [found[name] for name in FIELDS] == typed[:3]
    assert found["PACKAGE"] == "braces"
    assert [recorded(tmp_path / "braces")[name] for name in FIELDS.values()] == typed[:3]


def test_a_tracking_address_cannot_break_out_of_its_string(bake: Bake) -> None:
    uri = "postgresql+psycopg2://anna@db:5432/mlflow?sslmode=require&options=-c%20search_path=%22a%22"
    assert constants(bake(mlflow_tracking_uri=uri))["TRACKING_URI"] == uri
