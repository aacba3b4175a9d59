"""What a version needs to be loaded elsewhere: modules of this package, and libraries; both follow from the imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from ..common.errors import UserError

#: The folder of this package.
PACKAGE = Path(__file__).parents[2]


def modules(entry: Path) -> set[Path]:
    """Return a module of this package with all modules of it that are imported, those of its packages included."""
    found: set[Path] = set()
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [file for name in _imports(path) if name[0] == PACKAGE.name for file in _files(name)]
    return found


def libraries(paths: Iterable[Path]) -> set[str]:
    """Return the top-level names of what some modules import from outside of this package and of Python."""
    names = {name[0] for path in paths for name in _imports(path)}
    return names - {PACKAGE.name} - sys.stdlib_module_names


def requirements(names: Iterable[str]) -> list[str]:
    """Return the distributions that provide libraries, pinned to what is installed here.

    An import that fails here is left out, since the code must do without it. `UserError` names a library that is in no
    distribution.
    """
    provided = packages_distributions()
    distributions: set[str] = set()
    for name in names:
        if name not in provided and (spec := find_spec(name)):
            raise UserError(
                f"The model imports {name!r} ({spec.origin}), which is in no installed distribution, so the version "
                "could not be loaded elsewhere. Move the code to model/, or install it as a package."
            )
        found = provided.get(name, [])
        # Where several share a name, as those of MLflow, the one that is called so requires the others.
        distributions.update({name} if name in found else found)
    # Without the local part, such as "+cpu": indexes serve public versions.
    return sorted(f"{name}=={version(name).partition('+')[0]}" for name in distributions)


def _imports(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield the dotted names that a module imports, as parts; what is imported from a module counts as a part of it."""
    folder = path.parent.relative_to(PACKAGE.parent).parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = folder[: len(folder) - node.level + 1] if node.level else ()
            base = (*start, *(node.module.split(".") if node.module else ()))
            yield from ((*base, alias.name) for alias in node.names)


def _files(name: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files of a dotted name and of the packages around it."""
    for count in range(1, len(name) + 1):
        path = PACKAGE.parent.joinpath(*name[:count])
        yield from (file for file in (path / "__init__.py", path.with_suffix(".py")) if file.exists())
