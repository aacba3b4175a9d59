"""Workflows: place the pipelines of a project in a folder of a repository where GitHub and GitLab look for them.

GitHub reads workflows at the top of a repository alone, and a pipeline of GitLab starts there. A copy differs from the
project's own file in its names, its paths, and in what starts it.
"""

from __future__ import annotations

import re
from pathlib import Path

from . import config
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.training import provenance

GITHUB, GITLAB = Path(".github/workflows"), Path(".gitlab-ci.yml")
#: Where the copy for GitLab is; the pipeline at the top of the repository includes it.
GITLAB_COPIES = Path(".gitlab")
HEAD = "# Written by `make workflows` in {folder}/; change the file there, and run it again.\n"


def run(root: Path = config.ROOT, name: str = config.SERVICE_NAME) -> list[Path]:
    """Write the pipelines of a project, and return the files; none if the project is a repository of its own."""
    top = provenance.repository(root)
    if top is None:
        raise UserError(
            f"{root} is in no git repository: go to the folder that has all projects, and begin one: git init"
        )
    folder = root.resolve().relative_to(top.resolve()).as_posix()
    if folder == ".":
        console.say(f"Nothing to do: {root} is the top of its repository, so its pipelines are where they must be.")
        return []
    copies = {top / GITHUB / f"{name}-{path.name}": _github(path, folder, name) for path in _workflows(root)}
    if (root / GITLAB).exists():
        copies[top / GITLAB_COPIES / f"{name}.yml"] = _gitlab(root / GITLAB, folder, name)
    for path, text in copies.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD.format(folder=folder) + text, encoding="utf-8")
        console.say(f"Wrote {path.relative_to(top)}")
    console.next_steps((f"git add {GITHUB} {GITLAB_COPIES}", f"and commit, in {top}"))
    return list(copies)


def _workflows(root: Path) -> list[Path]:
    return sorted((root / GITHUB).glob("*.yml"))


def _github(path: Path, folder: str, name: str) -> str:
    paths = f'paths: ["{folder}/**", "{GITHUB}/{name}-*"]'
    return _replaced(
        path,
        folder,
        (r"^name: (.+)$", rf"name: {name} \1"),
        (r"^  (push|pull_request):\n", rf"  \1:\n    {paths}\n"),
        (r"^    types: \[(\w+)\]$", rf"    types: [{name}-\1]"),
        (r"^( +RETRAIN_EVENT: )(\w+)$", rf"\1{name}-\2"),
        (r"(gh workflow run) (\w+\.yml)", rf"\1 {name}-\2"),
        (r"^( +IMAGE_REPOSITORY: .+)$", rf"\1/{name}"),
    )


def _gitlab(path: Path, folder: str, name: str) -> str:
    return _replaced(
        path,
        folder,
        (r"^( +files: \[)", rf"\1{folder}/"),
        (r"^( +resource_group: )", rf"\1{name}-"),
        (r"^( +IMAGE_REPOSITORY: .+)$", rf"\1/{name}"),
    )


def _replaced(path: Path, folder: str, *changes: tuple[str, str]) -> str:
    """Return the text of a file with changes, and with paths from the top of the repository; "./" begins a path."""
    text = path.read_text(encoding="utf-8")
    for pattern, replacement in ((r"(?<![\w./])\./", f"{folder}/"), *changes):
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text
