"""Update: merge what is new in the template into this project, renew the locks, and run the tests.

cruft merges, from the commit of the template that `.cruft.json` records. Obstacles are reported before the
merge, remaining work after it. An update begins on a clean git tree and commits nothing, so that it can be undone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .toolkit.common import console
from .toolkit.common.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
RECORD, CHANGELOG = ".cruft.json", "CHANGELOG.md"
UNDO = "To undo the update: git reset --hard && git clean -d --force"
#: What make hands to its children, and variables by which git's hooks name another repository.
FOREIGN = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")

#: git's output is parsed, so its language is fixed.
ENGLISH = {"LC_ALL": "C.UTF-8"}


def run(root: Path = ROOT) -> None:
    """Update the project; `UserError` lists what the owner has to do."""
    record = _record(root)
    _check_clean(root)
    rejects = _rejects(root)
    with tempfile.TemporaryDirectory(prefix="template-") as folder:
        template = Path(folder, "template")
        with console.step("template") as step:
            before, after = _clone(root, record, template)
            step.detail = f"{record['template']}, {before[:7]} -> {after[:7]}"
        if before == after:
            console.say("Nothing to do: the project is up to date with its template.")
            return
        console.say(f"\nWhat is new in the template:\n\n{news(_show(template, before), _show(template, after))}\n")
        with console.step("merge") as step:
            failed = _merge(root, template)
            step.detail = _summary(root)
    _check_conflicts(root, failed, _rejects(root) - rejects)
    if _changed(root) == {RECORD}:
        console.say(f"No file of the project changes. Commit {RECORD}, which records the template's commit.")
        return
    _make(root, "lock", "The template's changes are merged, but the locks could not be renewed, see above.")
    _make(root, "test", "The template's changes are merged, but the tests fail, see above.")
    console.next_steps(
        ("git diff HEAD", "look at what changed"),
        ("git add --all && git commit", "keep it"),
        (UNDO.partition(": ")[2], "undo it"),
    )


def _record(root: Path) -> dict[str, Any]:
    try:
        record = json.loads((root / RECORD).read_text(encoding="utf-8"))
        template, commit = record["template"], record["commit"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{RECORD} does not name the template of this project ({error}). Take it from the project's "
            "git history: git log -- .cruft.json"
        ) from error
    if not commit:
        raise UserError(
            f"{RECORD} has no commit of the template: the project was made from {template}, which has no git history. "
            'Write the address of the template\'s repository there as "template", and as "commit" the release that '
            f"toolkit/VERSION names, or its commit."
        )
    return dict(record)


def _check_clean(root: Path) -> None:
    """Raise `UserError` unless everything is committed, so that nothing can be lost."""
    status = _git(root, "status", "--porcelain")
    if status.returncode:
        raise UserError(f"{root} is no git repository: begin with git init && git add --all && git commit")
    lines = status.stdout.splitlines()
    if lines:
        more = f"\n  and {len(lines) - 10} more" if len(lines) > 10 else ""
        raise UserError(
            "An update begins when everything is committed, so that nothing can be lost. Commit these files first, or "
            "put them aside with git stash --include-untracked:\n"
            + "\n".join(f"  {line}" for line in lines[:10])
            + more
        )


def _clone(root: Path, record: dict[str, Any], folder: Path) -> tuple[str, str]:
    """Clone the template; return the commit that the project has, and the newest."""
    address = record["template"]
    cloned = _git(root, "clone", "--quiet", "--", address, str(folder))
    if cloned.returncode:
        raise UserError(
            f"The template {address} cannot be fetched: {_reason(cloned.stderr)}\nNothing was changed. Check the "
            f'network and your access. If the template has moved, write its new address into {RECORD} as "template".'
        )
    known = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{record['commit']}^0")
    if known.returncode:
        raise UserError(
            f"The template {address} has no commit {record['commit']}, from which this project was made. Nothing was "
            f'changed. Write into {RECORD} as "commit" the commit or release that is nearest to it.'
        )
    return known.stdout.strip(), _git(folder, "rev-parse", "HEAD").stdout.strip()


def _show(template: Path, commit: str) -> str:
    return _git(template, "show", f"{commit}:{CHANGELOG}").stdout


def news(before: str, after: str) -> str:
    """Return the sections of a changelog that are not in the one before, whatever their headings were there."""
    known = {text for _, text in _sections(before)}
    new = [f"{heading}\n\n{text}" for heading, text in _sections(after) if text not in known]
    return "\n\n".join(new) or "The changelog has no new entry."


def _sections(changelog: str) -> list[tuple[str, str]]:
    parts = f"\n{changelog}".split("\n## ")[1:]
    return [(f"## {heading.strip()}", text.strip()) for heading, _, text in (part.partition("\n") for part in parts)]


def _merge(root: Path, template: Path) -> set[str]:
    """Have cruft merge; return the files whose changes could not be applied."""
    command = [sys.executable, "-m", "cruft", "update", "--skip-apply-ask", "--template-path", str(template)]
    merged = subprocess.run(command, cwd=root, env=_environment(**ENGLISH), capture_output=True, text=True)
    if merged.returncode:
        raise UserError(f"cruft could not update the project: {_reason(merged.stderr)}\n{UNDO}")
    prefix = _git(root, "rev-parse", "--show-prefix").stdout.strip()
    return {path.removeprefix(prefix) for path in re.findall(r"^error: (.+): [^:\d]+$", merged.stderr, re.MULTILINE)}


def _rejects(root: Path) -> set[str]:
    """Return the files with rejected changes, which git writes; ignored files are included."""
    return set(_git(root, "ls-files", "--others", "--", "*.rej").stdout.splitlines())


def _check_conflicts(root: Path, failed: set[str], rejects: set[str]) -> None:
    unmerged = set(_git(root, "diff", "--name-only", "--diff-filter=U", "--relative").stdout.splitlines())
    elsewhere = failed - unmerged - {path.removesuffix(".rej") for path in rejects}
    lines = [f"  {path}: has conflict markers, <<<<<<< to >>>>>>>" for path in sorted(unmerged)]
    lines += [f"  {path}: rejected changes to {path[:-4]}" for path in sorted(rejects)]
    lines += [f"  {path}: left as it was; the template changed, moved or removed it" for path in sorted(elsewhere)]
    if lines:
        raise UserError(
            "The template and this project changed the same lines:\n" + "\n".join(lines) + "\nEdit these files until "
            f"they are right and remove the .rej files, then: make lock && make test, and commit.\n{UNDO}"
        )


def _summary(root: Path) -> str:
    version = next(root.glob("*/toolkit/VERSION"), None)
    return f"{len(_changed(root))} files" + (f"; toolkit {version.read_text().strip()}" if version else "")


def _changed(root: Path) -> set[str]:
    """Return the files that differ from the last commit, and new ones."""
    commands = (("diff", "HEAD", "--name-only", "--relative"), ("ls-files", "--others", "--exclude-standard"))
    return {path for arguments in commands for path in _git(root, *arguments).stdout.splitlines()}


def _make(root: Path, target: str, failure: str) -> None:
    """Make a target by the project's new Makefile."""
    console.say(f"\nmake {target}")
    if subprocess.run(["make", target], cwd=root, env=_environment()).returncode:
        raise UserError(f"{failure} After fixing it: make lock && make test, and commit.\n{UNDO}")


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Names are printed: ü as ü.
    return subprocess.run(
        ["git", "-c", "core.quotePath=off", *arguments],
        cwd=folder,
        env=_environment(**ENGLISH),
        capture_output=True,
        text=True,
    )


def _environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in FOREIGN} | more


def _reason(output: str) -> str:
    """Return the line of a program's output that has the reason of its failure, without the traceback before it."""
    lines = [line.strip(" │╭╮╰╯─") for line in output.splitlines()]
    errors = [line for line in lines if line.startswith(("fatal:", "error:"))]
    if errors:
        return errors[0]
    return next((line for line in reversed(lines) if line), "")
