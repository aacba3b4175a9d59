"""Edits of the toolkit: warn if its files were edited in this project."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .toolkit.common import console

TOOLKIT = Path(__file__).parent / "toolkit"
#: The digests of the files as they were shipped; generating and updating the project write it.
MANIFEST = "MANIFEST"


def run(toolkit: Path = TOOLKIT) -> None:
    """Warn of files that were edited or added, and say what to do instead."""
    found = edited(toolkit)
    if not found:
        return
    number = (toolkit / "VERSION").read_text().strip()
    console.say(f"Warning: these files differ from toolkit {number}:", style="yellow")
    for name in found:
        console.say(f"  {toolkit.parent.name}/{toolkit.name}/{name}")
    console.say(
        "An update may conflict with these edits. Propose them to the template, so that an update brings them here,\n"
        f"or write an endpoint of your own in {toolkit.parent.name}/model/endpoints.py."
    )


def edited(toolkit: Path) -> list[str]:
    """Return the files that are not as shipped, or were added; removing an optional part is no edit."""
    if not (toolkit / MANIFEST).is_file():
        return []
    lines = (toolkit / MANIFEST).read_text(encoding="utf-8").splitlines()
    shipped = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    paths = (path for path in toolkit.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    present = {path.relative_to(toolkit).as_posix(): path for path in paths if path.name != MANIFEST}
    return sorted(name for name, path in present.items() if _digest(path) != shipped.get(name))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
