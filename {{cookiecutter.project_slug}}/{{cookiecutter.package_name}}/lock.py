"""Lock: renew requirements/*.lock from setup.py, all of them or none, and print what changed.

    python -m PACKAGE.lock [--upgrade]

This command imports nothing that has to be installed: it mends what environments are made from. What is intact of a
broken lock is kept, so that no version changes without need.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .toolkit.common.scratch import scratch_folder
from .toolkit.common.termination import terminable

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
#: The lock by which the others agree, and the extras of setup.py that it has.
FIRST = "dev"
#: Locks with the extra of setup.py that each has, "" for none.
LOCKS = {FIRST: "dev", "train": "train", "model": "model", "serve": ""}
#: The lock of uv itself, for a machine that has none.
UV_LOCK, UV = "uv", "uv>=0.5"
OPTIONS = ["--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"]
OPTIONS += ["--no-annotate", "--custom-compile-command", "make lock"]
#: Lines of uv's output that are shown when it fails.
SHOWN_LINES = 20

PIN = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(\[[\w,.-]+\])?==(?P<version>[0-9][\w.!+]*)( ; [^\\]+)? \\\n")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?P<more> \\)?\n")

#: Pins with their hashes, as text, by the name of the library.
Entries = dict[str, list[str]]


class LockError(Exception):
    """The locks cannot be renewed; the message says why."""


def main(arguments: list[str]) -> int:
    """Renew the locks, and return the exit code."""
    try:
        with terminable(), uv() as program, scratch_folder(FOLDER, ".new-") as scratch:
            _renew(program, scratch, upgrade="--upgrade" in arguments)
    except LockError as error:
        print(f"Error: the locks stay as they were. {error}", file=sys.stderr)
        return 1
    return 0


def _renew(program: str, scratch: Path, *, upgrade: bool) -> None:
    (scratch / "extras").mkdir()
    upgraded = ["--upgrade"] if upgrade else []
    agreeing = ["--constraint", str(scratch / f"{FIRST}.lock")]
    sources = {}
    for name, extra in LOCKS.items():
        sources[name] = ["setup.py", *(upgraded if name == FIRST else agreeing), *(["--extra", extra] if extra else [])]
    for path in sorted(FOLDER.glob("extras/*.in")):
        sources[f"extras/{path.stem}"] = [str(path), *upgraded, *agreeing]
    sources[UV_LOCK] = ["-", *agreeing]
    own = {name: intact(_content(FOLDER / f"{name}.lock")) for name in sources}
    before = _completed(own)
    for name, source in sources.items():
        _compile(program, scratch / f"{name}.lock", source, before[name], given=UV if name == UV_LOCK else "")
    after = {name: intact(_content(scratch / f"{name}.lock"))[0] for name in sources}
    written = [name for name in sources if _content(FOLDER / f"{name}.lock") != _content(scratch / f"{name}.lock")]
    for name in written:
        (scratch / f"{name}.lock").replace(FOLDER / f"{name}.lock")
    changes = _changes({name: kept for name, (kept, _) in own.items()}, before, after)
    print("".join(f"{line}\n" for line in changes), end="")
    if not changes:
        print(f"No version changed; written anew: {', '.join(written)}." if written else "Nothing changed.")


def _completed(locks: dict[str, tuple[Entries, bool]]) -> dict[str, Entries]:
    """Return what there is of each lock; a library that a broken or missing lock lost is taken from another lock."""
    together = {library: entries for kept, _ in reversed(locks.values()) for library, entries in kept.items()}
    completed = {}
    for name, (kept, broken) in locks.items():
        if broken:
            print(f"requirements/{name}.lock was broken; {len(kept)} libraries in it are intact.")
        elif not kept:
            print(f"requirements/{name}.lock was missing.")
        completed[name] = together | kept if broken or not kept else kept
    return completed


def _compile(program: str, lock: Path, source: list[str], kept: Entries, *, given: str = "") -> None:
    """Write a lock; versions stay as they were, as far as the ranges of setup.py allow."""
    lock.write_text("".join(entry for entries in kept.values() for entry in entries), encoding="utf-8")
    command = [program, "pip", "compile", *source, *OPTIONS, "--output-file", str(lock)]
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = [f"  {line}" for line in done.stderr.strip().splitlines()[-SHOWN_LINES:]]
        raise LockError("uv cannot make {}:\n{}".format(lock.name, "\n".join(lines)))


def intact(text: str) -> tuple[Entries, bool]:
    """Return the complete entries of a lock, pins with their hashes, and whether there is anything else in it."""
    kept: Entries = {}
    lines = text.splitlines(keepends=True)
    broken, at = bool(text) and not text.endswith("\n"), 0
    while at < len(lines):
        pin = PIN.fullmatch(lines[at])
        end = at + 1
        if not pin:
            broken = broken or bool(lines[at].strip() and not lines[at].startswith("#"))
            at = end
            continue
        while end < len(lines) and (found := HASH.fullmatch(lines[end])):
            end += 1
            if not found["more"]:
                kept.setdefault(pin["name"], []).append("".join(lines[at:end]))
                break
        else:
            broken = True
        at = end
    return kept, broken


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _changes(own: dict[str, Entries], before: dict[str, Entries], after: dict[str, Entries]) -> list[str]:
    """Return a line for each change of a version, with the locks that have it; `own` is what was intact in them."""
    found: dict[tuple[str, str], list[str]] = {}
    for lock in after:
        for name in before[lock].keys() | after[lock].keys():
            old, new = _versions(before[lock].get(name, [])), _versions(after[lock].get(name, []))
            # What was taken from other locks may never have been in this one.
            if old != new and (new or name in own[lock]):
                text = f"{old} -> {new}" if old and new else f"added {new}" if new else f"removed, was {old}"
                found.setdefault((name, text), []).append(lock)
    width = max((len(name) for name, _ in found), default=0)
    return [f"{name:<{width}}  {text}  ({', '.join(locks)})" for (name, text), locks in sorted(found.items())]


def _versions(entries: list[str]) -> str:
    """Return the versions of a library; there are several where they depend on the platform."""
    return " or ".join(pin["version"] for entry in entries if (pin := PIN.match(entry)))


@contextmanager
def uv() -> Iterator[str]:
    """Yield a uv that runs: of the environment, of the machine, or one that is installed until the block ends."""
    for program in (str(ROOT / ".venv" / "bin" / "uv"), shutil.which("uv")):
        if program and _runs([program, "--version"]):
            yield program
            return
    with tempfile.TemporaryDirectory(prefix="uv-") as folder:
        python = str(Path(folder) / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        locked = [*install, "--require-hashes", "--requirement", str(FOLDER / f"{UV_LOCK}.lock")]
        if not _runs([sys.executable, "-m", "venv", folder]) or not (_runs(locked) or _runs([*install, UV])):
            raise LockError("uv is not installed, and pip cannot install it: install uv, and try again.")
        yield str(Path(folder) / "bin" / "uv")


def _runs(command: list[str]) -> bool:
    """Whether a program runs and succeeds; if this one is told to end, those that it has started end too."""
    null = subprocess.DEVNULL
    try:
        with subprocess.Popen(command, stdin=null, stdout=null, stderr=null, process_group=0) as process:
            try:
                return process.wait() == 0
            except BaseException:
                # `venv` runs pip, which would go on writing into the folder that is being removed.
                os.killpg(process.pid, signal.SIGKILL)
                raise
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
