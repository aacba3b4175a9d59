"""The template as it stands, unrendered: it parses, its modules keep their places, its files stay small."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PACKAGE, PROJECT, files

MODEL = {"schema.py", "data.py", "pipeline.py", "quality.py"}
MEGABYTE = 1_000_000
#: The rooms of the toolkit, in the order in which a newcomer reads them; a room may import those above it.
ROOMS = (
    "common",
    "contract",
    "version",
    "training",
    "registry",
    "release",
    "monitoring",
    "batch",
    "live",
    "streaming",
    "serving",
    "analysis",
    "retraining",
    "canary",
    "diagnosis",
)
LONGEST_MODULE = 250


@pytest.fixture(scope="session")
def package(template: Path) -> Path:
    """Return the folder of the package, unrendered."""
    return template / PROJECT / PACKAGE


@pytest.fixture(scope="session")
def modules(package: Path) -> dict[str, ast.Module]:
    """Return the syntax trees of the package's modules by their paths in it."""
    return {str(path.relative_to(package)): ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))}


def imports(path: str, tree: ast.Module) -> Iterator[tuple[str, ...]]:
    """Yield what a module imports; what is the project's own begins with "." and its place in the package."""
    folder = Path(path).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = (".", *folder[: len(folder) - node.level + 1]) if node.level else ()
            base = (*start, *(node.module.split(".") if node.module else ()))
            yield from ((*base, alias.name) for alias in node.names)


def own(path: str, tree: ast.Module) -> set[tuple[str, ...]]:
    """Return the places in the package that a module imports from."""
    return {name[1:] for name in imports(path, tree) if name[0] == "."}


def test_every_python_file_parses_unrendered(template: Path) -> None:
    sources = sorted(template.rglob("*.py"))
    assert len(sources) > 30
    for source in sources:
        text = source.read_text()
        if template / PROJECT / "tests" in source.parents:
            # They import what users import, so the package's name is the one thing of Jinja in them.
            text = text.replace("{{ cookiecutter.package_name }}", "package")
        ast.parse(text, str(source.relative_to(template)))


def test_tests_of_a_project_import_modules_and_names_that_exist(template: Path, modules: dict[str, ast.Module]) -> None:
    missing, checked = [], 0
    for path in sorted((template / PROJECT / "tests").glob("*.py")):
        tree = ast.parse(path.read_text().replace("{{ cookiecutter.package_name }}", "package"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not node.module or node.module.split(".")[0] != "package":
                continue
            place = "/".join(node.module.split(".")[1:])
            names = defined(modules, place)
            missing += [f"{path.name}: {node.module}.{alias.name}" for alias in node.names if alias.name not in names]
            checked += len(node.names)
    assert checked > 10
    assert missing == []


def defined(modules: dict[str, ast.Module], place: str) -> set[str]:
    """Return the modules of a package and the names that it or a module defines; `place` is its path."""
    inside = [Path(path).relative_to(place) for path in modules if Path(path).is_relative_to(place)]
    names = {path.parts[0].removesuffix(".py") for path in inside if path.parts}
    for path in (f"{place}.py", f"{place}/__init__.py".lstrip("/")):
        for node in modules[path].body if path in modules else []:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            else:
                names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return names


def test_python_holds_jinja_in_metadata_and_config_only(template: Path) -> None:
    # model/ and toolkit/ are copied as they are, so braces mean nothing there.
    elsewhere = ("tests/", f"{PACKAGE}/model/", f"{PACKAGE}/toolkit/")
    sources = [path for path in files(template / PROJECT) if path.endswith(".py") and not path.startswith(elsewhere)]
    holding = {path for path in sources if re.search(r"\{[{%#]", (template / PROJECT / path).read_text())}
    assert holding == {"setup.py", f"{PACKAGE}/config.py"}


def test_hooks_hold_one_expression_each(template: Path) -> None:
    for hook in (template / "hooks").iterdir():
        assert re.findall(r"\{[{%#].*", hook.read_text()) == ['{{ cookiecutter | jsonify }}"""'], hook.name


def test_no_module_imports_the_package_by_its_name(modules: dict[str, ast.Module]) -> None:
    for path, tree in modules.items():
        assert not {name[0] for name in imports(path, tree)} & {"titanic_survival", PACKAGE}, path


def test_toolkit_imports_nothing_but_toolkit(modules: dict[str, ast.Module]) -> None:
    for path, tree in modules.items():
        if path.startswith("toolkit/"):
            assert {name[0] for name in own(path, tree)} <= {"toolkit"}, path


def test_model_imports_nothing_of_the_project(modules: dict[str, ast.Module]) -> None:
    for path, tree in modules.items():
        if path.startswith("model/"):
            assert {name[0] for name in own(path, tree)} <= {"model"}, path


def test_commands_import_no_other_command(modules: dict[str, ast.Module]) -> None:
    others = {"__init__.py", "__main__.py", "aws_lambda.py", "config.py", "service.py"}
    commands = {path for path in modules if "/" not in path} - others
    assert len(commands) >= 8
    for path in {path for path in modules if path.startswith("shared/")} | commands:
        imported = {f"{name[0]}.py" for name in own(path, modules[path])}
        assert imported & commands == set(), path


def test_commands_open_the_store_that_admits_what_the_settings_trust(modules: dict[str, ast.Module]) -> None:
    called = {
        (path, node.lineno)
        for path, tree in modules.items()
        if not path.startswith("toolkit/") and path != "shared/trust.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Store"
    }
    assert called == set(), "use trust.model_store(settings)"


def test_only_serve_imports_the_service(modules: dict[str, ast.Module]) -> None:
    assert {path for path, tree in modules.items() if ("service",) in {n[:1] for n in own(path, tree)}} <= {"serve.py"}


def test_only_the_registry_room_imports_mlflow(modules: dict[str, ast.Module]) -> None:
    knowing = {path for path, tree in modules.items() if "mlflow" in {name[0] for name in imports(path, tree)}}
    assert {path.rpartition("/")[0] for path in knowing} == {"toolkit/registry"}


def test_every_module_of_the_toolkit_has_a_room(package: Path) -> None:
    assert {path.name for path in (package / "toolkit").iterdir() if path.is_dir()} == set(ROOMS)
    assert {path.name for path in (package / "toolkit").glob("*.py")} == {"__init__.py"}
    for room in ROOMS:
        assert ast.get_docstring(ast.parse((package / "toolkit" / room / "__init__.py").read_text())), room


def test_a_room_imports_only_rooms_above_it(modules: dict[str, ast.Module]) -> None:
    surprising = [
        f"{path} imports {'.'.join(name[1:])}"
        for path, tree in modules.items()
        for name in own(path, tree)
        if path.startswith("toolkit/") and name[:1] == ("toolkit",) and path.count("/") > 1
        if ROOMS.index(name[1]) > ROOMS.index(path.split("/")[1])
    ]
    assert surprising == []


def test_modules_are_small(modules: dict[str, ast.Module], package: Path) -> None:
    sizes = {path: len((package / path).read_text().splitlines()) for path in modules}
    assert {path: size for path, size in sizes.items() if size > LONGEST_MODULE} == {}


def test_the_four_files_of_the_model_are_short(package: Path) -> None:
    assert files(package / "model") >= MODEL
    for name in MODEL:
        assert len((package / "model" / name).read_text().splitlines()) < 80, name


def test_no_file_is_large(template: Path) -> None:
    assert [path for path in files(template) if (template / path).stat().st_size > MEGABYTE] == []


def test_locks_have_hashes_and_no_address(template: Path) -> None:
    locks = sorted(template.rglob("requirements/*.lock"))
    assert {lock.name for lock in locks} == {"dev.lock", "model.lock", "serve.lock", "train.lock", "uv.lock"}
    extras = list(template.rglob("requirements/extras/*"))
    named = {suffix: {path.stem for path in extras if path.suffix == suffix} for suffix in (".in", ".lock")}
    assert named[".in"] == named[".lock"]
    locks += template.rglob("requirements/extras/*.lock")
    for lock in locks:
        text = lock.read_text()
        blocks = re.split(r"\n(?=\S)", text.partition("make lock\n")[2])
        assert len(blocks) >= 1, lock
        assert all(re.match(r"[\w.-]+==\S+", block) and "--hash=sha256:" in block for block in blocks), lock
        assert not re.search(r"https?:|file:|index-url|find-links", text), lock


MAKEFILES = ["Makefile", f"{PROJECT}/Makefile"]
#: What came to GNU make after 3.81, the version that macOS has.
NEWER = r"""^\.(ONESHELL|SHELLFLAGS|RECIPEPREFIX|POSIX|EXTRA_PREREQS|NOTINTERMEDIATE|WAIT)\b
|^[\w.-]+\s*(!=|::=|:::=)|^define\s+\w+\s*[:?+]?=|^undefine\b|^private\b|&:|\$[({](file|guile|let|intcmp)\s|^load\s"""


@pytest.mark.parametrize("name", MAKEFILES)
def test_makefile_uses_nothing_newer_than_make_3_81(name: str, template: Path) -> None:
    text = (template / name).read_text()
    assert not re.search(NEWER, text, re.MULTILINE | re.VERBOSE)


@pytest.mark.parametrize("target", ["train", "promote", "rollback", "canary"])
def test_reason_is_no_command_of_the_shell(target: str, template: Path, tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s" "$WHY" > why\n')
    python.chmod(0o755)
    shutil.copy(template / PROJECT / "Makefile", tmp_path)
    reason = """a"; touch injected; echo '"'$(touch injected)`touch injected`"""
    command = ["make", "-o", ".venv/.done", target]
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"WHY": reason}, check=True, timeout=60)
    assert (tmp_path / "why").read_text() == reason
    assert not (tmp_path / "injected").exists()


@pytest.mark.parametrize("name", MAKEFILES)
def test_every_makefile_target_is_explained_and_declared(name: str, template: Path) -> None:
    text = (template / name).read_text()
    words = re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE)
    explained = re.findall(r"^([a-z][a-z-]*):.*  ## \S", text, re.MULTILINE)
    [phony] = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert words == explained
    assert sorted(words) == sorted(phony.split())
