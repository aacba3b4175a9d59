"""Doctor: is everything as it should be? Each finding is one line, with what to do."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rich.markup import escape

from . import config
from .toolkit.common import console
from .toolkit.common.findings import Check, Finding, examine, hang
from .toolkit.diagnosis import locks, machine

#: By the level of a finding: the mark of its line, and its colour.
MARKS = {"ok": ("✓", "green"), "warning": ("⚠", "yellow"), "error": ("✗", "red")}
SQLITE = "sqlite:///"


def run(settings: config.Settings, *, as_json: bool = False) -> int:
    """Print what the checks find, and return the exit code: 1 if something is broken."""
    found: list[Finding] = []
    console.out.quiet = as_json
    for finding in _findings(settings):
        if finding.level != "ok" and finding.text in (earlier.text for earlier in found):
            continue  # what several checks need, such as the release, is broken once
        found.append(finding)
        mark, style = MARKS[finding.level]
        console.out.print(f"[{style}]{mark}[/] {finding.check:<10} {escape(finding.text)}", soft_wrap=True)
    console.out.quiet = False
    broken, warnings = (sum(finding.level == level for finding in found) for level in ("error", "warning"))
    if as_json:
        print(json.dumps([finding._asdict() for finding in found], indent=1))
    else:
        console.say(
            f"\n{broken} broken, {warnings} to look at" if broken or warnings else "\nEverything is as it should be"
        )
    if hang():
        # What was given up may hold threads for which Python would wait.
        sys.stdout.flush()
        os._exit(int(broken > 0))
    return int(broken > 0)


def _findings(settings: config.Settings) -> Iterator[Finding]:
    """Yield what is found, of this machine first: whatever is wrong with libraries or servers cannot hide that."""
    others: list[Check] = []

    def load() -> list[Finding]:
        # Not above: a library that cannot be imported is a finding.
        from .shared.project_checks import ProjectChecks

        others.extend(ProjectChecks(settings).applicable())
        return []

    yield from examine([*_machine(settings), Check("import", load, 120)])
    yield from examine(others)


def _machine(settings: config.Settings) -> list[Check]:
    folders = [config.ROOT, settings.store, settings.log_folder]
    if settings.mlflow_tracking_uri.startswith(SQLITE):
        folders.append(Path(settings.mlflow_tracking_uri.removeprefix(SQLITE)).parent)
    checks = [
        Check("python", partial(machine.python, config.ROOT)),
        Check("git", partial(machine.git, config.ROOT)),
        Check("disk", partial(machine.disks, folders)),
    ]
    if "IMAGE_ENVIRONMENT" not in os.environ:  # an image is built from a lock, and has neither
        checks.append(Check("libraries", partial(locks.check, config.ROOT)))
    return checks
