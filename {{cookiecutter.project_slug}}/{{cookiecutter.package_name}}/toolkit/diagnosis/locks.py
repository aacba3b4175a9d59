"""The locks: setup.py asks for nothing that they lack, and what they list is installed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..common.findings import Finding, error, ok

#: A line with a library, its version, and the marker that says where it is installed.
PIN = re.compile(r"^(?P<pin>[A-Za-z0-9][\w.-]*(\[[\w,.-]+\])?==[^\s;]+( ; [^\\]+)?) \\$", re.MULTILINE)
#: The lists of setup.py that the lock of the environment has.
LISTS = ("SERVE", "PYTHON_MODEL", "MODEL", "TRAIN", "DEV")
#: Libraries that a finding names.
NAMED = 5


def check(root: Path) -> Iterator[Finding]:
    """Compare setup.py with requirements/dev.lock, and that with what is installed here."""
    lock = root / "requirements" / "dev.lock"
    pinned = _pinned(lock)
    if not pinned:
        yield error(f"{lock} is missing or broken: make lock")
        return
    wrong = [_missing(pinned, listed) for listed in _listed(root / "setup.py")]
    if found := [text for text in wrong if text]:
        yield error(f"requirements/dev.lock does not have what setup.py lists: {_named(found)}: make lock")
    differing = [text for name, version in pinned.items() if (text := _differing(name, version))]
    if differing:
        yield error(
            f"{len(differing)} of {len(pinned)} libraries are not as in requirements/dev.lock: {_named(differing)}: "
            "rm .venv/.done && make setup"
        )
    elif not found:
        yield ok(f"{len(pinned)} libraries as in requirements/dev.lock")


def _pinned(lock: Path) -> dict[str, str]:
    """Return the versions that a lock has for this platform, by library; empty if it cannot be read."""
    try:
        requirements = [Requirement(found["pin"]) for found in PIN.finditer(lock.read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return {}
    here = [requirement for requirement in requirements if not requirement.marker or requirement.marker.evaluate()]
    return {canonicalize_name(found.name): str(found.specifier).removeprefix("==") for found in here}


def _listed(setup: Path) -> list[Requirement]:
    """Return what the lists of setup.py ask for; nothing of a list that is computed."""
    listed = []
    for node in ast.parse(setup.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        listed += _texts(value) if name in LISTS else []
    return [requirement for requirement in listed if not requirement.marker or requirement.marker.evaluate()]


def _texts(value: ast.expr) -> list[Requirement]:
    try:
        return [Requirement(text) for text in ast.literal_eval(value)]
    except (ValueError, TypeError, InvalidRequirement):
        return []


def _missing(pinned: dict[str, str], listed: Requirement) -> str:
    """Return what a lock does not have of what is listed, "" if it has it."""
    version = pinned.get(canonicalize_name(listed.name))
    if version is None:
        return listed.name
    # The address of a package stands for its version.
    return "" if listed.url or listed.specifier.contains(version, prereleases=True) else f"{listed} ({version})"


def _differing(name: str, version: str) -> str:
    """Return in what an installed library differs from the lock, "" if in nothing."""
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    return "" if installed == version else f"{name} {installed} instead of {version}"


def _named(texts: list[str]) -> str:
    more = len(texts) - NAMED
    return ", ".join(texts[:NAMED]) + (f" and {more} more" if more > 0 else "")
