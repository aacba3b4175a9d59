"""Baking: what comes out, from wherever the template is taken."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import py_compile
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import post_gen_project
import pytest
from conftest import PACKAGE, PROJECT, ROOT, Bake, Cookiecutter, commit, files, git

QUESTIONS: dict[str, Any] = json.loads((ROOT / "cookiecutter.json").read_text())
DEFAULTS = {
    "project_name": "Titanic survival",
    "description": "Who survives the Titanic, from what was known at boarding.",
    "author": "Data Science",
    "project_slug": "titanic-survival",
    "package_name": "titanic_survival",
    "model_name": "titanic-survival",
    "mlflow_tracking_uri": "",
}


def test_there_are_at_most_ten_questions_and_each_is_a_sentence() -> None:
    asked = [name for name in QUESTIONS if not name.startswith("_")]
    assert len(asked) <= 10
    assert list(QUESTIONS["__prompts__"]) == asked
    assert all(len(sentence.split()) >= 5 for sentence in QUESTIONS["__prompts__"].values())


def test_defaults_bake_exactly_the_files_of_the_template(template: Path, bake: Bake) -> None:
    names = {PROJECT: "titanic-survival", PACKAGE: "titanic_survival"}
    expected = {path.replace(PACKAGE, names[PACKAGE]) for path in files(template / PROJECT)}
    made = bake()
    assert made.name == names[PROJECT]
    assert files(made) == expected | {".cruft.json", "titanic_survival/toolkit/MANIFEST"}


@pytest.mark.alone
def test_baking_takes_less_than_three_seconds(command: Cookiecutter, template: Path) -> None:
    start = time.perf_counter()
    done = command(template)
    took = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    print(f"\nbaked in {took:.2f} s")
    assert took < 3


def test_nothing_of_jinja_is_left(bake: Bake) -> None:
    made = bake()
    for path in sorted(files(made)):
        if not _copied(path):
            assert not re.search(r"\{\{|\{%|\{#|cookiecutter\.\w+ ", (made / path).read_text()), path


def _copied(path: str) -> bool:
    """Whether a file is one of those that are copied as they are."""
    folders = [str(parent) for parent in Path(path).parents]
    return any(fnmatch.fnmatch(part, glob) for glob in QUESTIONS["_copy_without_render"] for part in [path, *folders])


def test_every_python_file_of_a_project_compiles(bake: Bake, tmp_path: Path) -> None:
    sources = sorted(bake().rglob("*.py"))
    assert sources
    for source in sources:
        py_compile.compile(str(source), cfile=str(tmp_path / "out.pyc"), doraise=True)


def test_names_follow_from_the_name_of_the_project(bake: Bake) -> None:
    made = bake(project_name="Größe & Preis: 2 Modelle")
    answers = json.loads((made / ".cruft.json").read_text())["context"]["cookiecutter"]
    assert made.name == answers["project_slug"] == answers["model_name"] == "grosse-preis-2-modelle"
    assert answers["package_name"] == "grosse_preis_2_modelle"
    assert (made / "grosse_preis_2_modelle" / "model" / "schema.py").is_file()


def test_manifest_has_the_digest_of_each_file_of_the_toolkit(bake: Bake) -> None:
    toolkit = bake() / "titanic_survival" / "toolkit"
    lines = (toolkit / "MANIFEST").read_text().splitlines()
    digests = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert digests.keys() == files(toolkit) - {"MANIFEST"}
    assert all(hashlib.sha256((toolkit / name).read_bytes()).hexdigest() == digest for name, digest in digests.items())


def test_reviews_fold_the_toolkit_and_the_locks_and_nothing_else(bake: Bake) -> None:
    made = bake(package_name="other")
    shown = git(made, "check-attr", "--all", *sorted(files(made)))
    folded: dict[str, set[str]] = {}
    for path, attribute, value in (line.rsplit(": ", 2) for line in shown.splitlines()):
        assert value == "set", "nothing that would hide a conflict"
        folded.setdefault(path, set()).add(attribute)
    assert folded.keys() == {
        path for path in files(made) if path.startswith("other/toolkit/") or path.endswith(".lock")
    }
    assert all({"linguist-generated", "gitlab-generated"} <= attributes for attributes in folded.values())
    assert "linguist-vendored" in folded["other/toolkit/VERSION"]


def test_in_the_template_the_toolkit_is_not_folded(template: Path) -> None:
    assert git(template, "check-attr", "--all", f"{PROJECT}/{PACKAGE}/toolkit/VERSION") == ""


def metadata(project: Path) -> dict[str, Any]:
    """Return what a project's setup.py hands to setuptools."""
    found: dict[str, Any] = {}
    stand_in = SimpleNamespace(setup=found.update, find_packages=lambda include: include)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "setuptools", stand_in)
        exec(compile((project / "setup.py").read_text(), "setup.py", "exec"), {"__name__": "__main__"})
    return found


def test_metadata_contain_the_answers(bake: Bake) -> None:
    found = metadata(bake(description="Two\nlines.", author="Ada", project_slug="two-lines", package_name="other"))
    assert (found["name"], found["version"]) == ("two-lines", "0.1.0")
    assert (found["description"], found["author"]) == ("Two lines.", "Ada")
    assert found["packages"] == ["other*"]


def test_project_is_a_git_repository_of_its_own(bake: Bake) -> None:
    made = bake()
    assert git(made, "rev-parse", "--show-toplevel") == str(made.resolve())
    assert git(made, "symbolic-ref", "--short", "HEAD") == "main"


@pytest.mark.parametrize("name", ["Predictions of churn", "Scores of teams"])
def test_git_ignores_no_file_of_a_project(bake: Bake, name: str) -> None:
    made = bake(project_name=name)
    git(made, "add", "--all")
    assert set(git(made, "ls-files").splitlines()) == set(files(made))


def test_project_inside_a_repository_joins_it(bake: Bake, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert not (bake() / ".git").exists()


def test_origin_is_recorded_for_a_local_template(bake: Bake, template: Path) -> None:
    assert json.loads((bake() / ".cruft.json").read_text()) == {
        "template": str(template),
        "commit": git(template, "rev-parse", "HEAD"),
        "checkout": None,
        "context": {"cookiecutter": DEFAULTS},
        "directory": None,
        "skip": ["titanic_survival/model", "data", "requirements/*.lock", "requirements/extras/*.lock"],
    }


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
def test_relative_address_of_a_template_is_recorded_in_full(
    template: Path, tmp_path: Path, command: Cookiecutter, elsewhere: bool
) -> None:
    done = command(os.path.relpath(template, tmp_path), *(["--output-dir", "deep/er"] if elsewhere else []))
    assert done.returncode == 0, done.stderr
    made = tmp_path / ("deep/er" if elsewhere else ".") / "titanic-survival"
    recorded = json.loads((made / ".cruft.json").read_text())
    assert (recorded["template"], recorded["commit"]) == (str(template), git(template, "rev-parse", "HEAD"))
    assert (f"cd {made}" if elsewhere else "cd titanic-survival ") in done.stdout


def test_baking_from_a_git_address_at_a_tag(upstream: Path, command: Cookiecutter, bake: Bake, tmp_path: Path) -> None:
    git(upstream, "tag", "v1")
    tagged = git(upstream, "rev-parse", "v1")
    (upstream / PROJECT / "later.txt").write_text("later\n")
    commit(upstream)
    done = command(upstream.as_uri(), "--checkout", "v1", "project_slug=from-git")
    assert done.returncode == 0, done.stderr
    recorded = json.loads((tmp_path / "from-git" / ".cruft.json").read_text())
    assert (recorded["template"], recorded["commit"], recorded["checkout"]) == (upstream.as_uri(), tagged, "v1")
    # Nothing that the template needs is kept from git by one of its .gitignore files.
    made = {path.replace("from_git", "titanic_survival") for path in files(tmp_path / "from-git")}
    assert made == files(bake())


def test_short_address_is_recorded_in_full(upstream: Path, command: Cookiecutter, tmp_path: Path) -> None:
    abbreviations = f"abbreviations: {{ours: 'file://{upstream.parent}/{{0}}'}}\n"
    config = tmp_path / "config.yaml"
    config.write_text(f"cookiecutters_dir: {tmp_path}/templates\nreplay_dir: {tmp_path}/replay\n{abbreviations}")
    done = command("ours:model-service", "--config-file", config)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "titanic-survival" / ".cruft.json").read_text())["template"] == upstream.as_uri()


def test_token_in_the_address_is_not_recorded() -> None:
    address = "https://me:token@example.com/t.zip"
    answers = {"_template": address, "_repo_dir": "t", "_output_dir": ".", "package_name": "p"}
    assert post_gen_project.record(answers)["template"] == "https://example.com/t.zip"


def test_baking_from_a_zip(template: Path, command: Cookiecutter, tmp_path: Path) -> None:
    archive = tmp_path / "template.zip"
    git(template, "archive", "--format=zip", "--prefix=cookiecutter-model-service/", f"--output={archive}", "HEAD")
    done = command(archive)
    assert done.returncode == 0, done.stderr
    recorded = json.loads((tmp_path / "titanic-survival" / ".cruft.json").read_text())
    assert (recorded["template"], recorded["commit"]) == (str(archive), None)


def test_next_commands_are_named_with_their_reasons(command: Cookiecutter, template: Path) -> None:
    words = [re.split("  +", line.strip()) for line in command(template).stdout.splitlines()[-3:]]
    assert [word[0] for word in words] == ["cd titanic-survival", "make train", "make deploy"]
    assert all(len(word) == 2 for word in words)
