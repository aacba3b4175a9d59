"""Record where the project came from, begin its git history, and print the next commands; nothing is downloaded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

# Answers are data: JSON in a raw string stays what was typed, whatever was typed.
ANSWERS = r"""{{ cookiecutter | jsonify }}"""

#: The file of toolkit/ that says what was shipped.
MANIFEST = "MANIFEST"


def record(answers: dict[str, str]) -> dict[str, object]:
    """Return what `cruft update` needs: the template's address and commit, and the answers."""
    folder = _template_folder(answers)
    commit = _git("rev-parse", "HEAD", folder=folder) if folder and _is_top(folder) else None
    return {
        "template": _address(answers, folder if commit else None),
        "commit": commit,
        "checkout": answers.get("_checkout"),
        "context": {"cookiecutter": {name: text for name, text in answers.items() if not name.startswith("_")}},
        "directory": None,
        # An update leaves these alone: what is the owner's, and the locks, which are renewed after it.
        "skip": [f"{answers['package_name']}/model", "data", "requirements/*.lock", "requirements/extras/*.lock"],
    }


def manifest(toolkit: Path) -> str:
    """Return the SHA-256 digest of each file of the toolkit, in the format of `sha256sum`."""
    paths = sorted(path for path in toolkit.rglob("*") if path.is_file() and path.name != MANIFEST)
    digests = {path.relative_to(toolkit).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def _template_folder(answers: dict[str, str]) -> Path | None:
    """Return where the template lies; cookiecutter gives it as typed, relative to where it was started."""
    started = (answers["_output_dir"], os.environ.get("PWD", "."))
    folders = [Path(folder, Path(answers["_repo_dir"]).expanduser()).resolve() for folder in started]
    return next((folder for folder in folders if (folder / "cookiecutter.json").is_file()), None)


def _address(answers: dict[str, str], checkout: Path | None) -> str:
    """Return the template's address in a form that git can clone from, wherever it is run."""
    typed = answers["_template"]
    if not checkout:
        address = typed
    elif typed == answers["_repo_dir"]:
        address = str(checkout)
    else:
        # Short forms such as gh:team/template are cookiecutter's own; its clone knows the whole address.
        address = _git("remote", "get-url", "origin", folder=checkout) or typed
    # A token that was typed into the address must not be committed.
    return re.sub("^(https?://)[^/@]*@", r"\1", address)


def _is_top(folder: Path) -> bool:
    top = _git("rev-parse", "--show-toplevel", folder=folder)
    return top is not None and Path(top).resolve() == folder.resolve()


def begin_history(project: Path) -> None:
    """Make the project a git repository, unless it lies in one or there is no git."""
    if _git("rev-parse", "--is-inside-work-tree", folder=project) is None:
        _git("init", "--quiet", folder=project)
        # What `init --initial-branch` does, which git before 2.28 does not know.
        _git("symbolic-ref", "HEAD", "refs/heads/main", folder=project)


def _git(*arguments: str, folder: Path) -> str | None:
    """Return git's output in a folder, None if it fails or is not there."""
    # Inside a git hook these point at the repository of the hook.
    foreign = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def next_steps(project: Path, package: str) -> str:
    """Return the three commands that lead to an endpoint, each with its reason."""
    here = Path(os.environ.get("PWD", ".")).resolve() == project.parent.resolve()
    enter = f"cd {shlex.quote(project.name if here else str(project))}"
    steps = [
        (enter, f"the project; {package}/model/ is yours, the rest works already"),
        ("make train", "install the environment (once), then train and register a first version"),
        ("make deploy", "serve it, and print its URL and a curl line to try"),
    ]
    return "\n".join(["", "Next:", *(f"  {command:<20}  {why}" for command, why in steps)])


def main() -> None:
    """Finish the project in the working directory."""
    answers = json.loads(ANSWERS)
    project = Path.cwd()
    toolkit = project / answers["package_name"] / "toolkit"
    # In every rendering, so that an update brings a new one.
    (toolkit / MANIFEST).write_text(manifest(toolkit), encoding="utf-8")
    # `cruft update` generates twice, to compare: that is no new project.
    if "_repo_dir" not in answers:
        return
    text = json.dumps(record(answers), indent=2)
    (project / ".cruft.json").write_text(text + "\n", encoding="utf-8")
    begin_history(project)
    print(next_steps(project, answers["package_name"]))


if __name__ == "__main__":
    main()
