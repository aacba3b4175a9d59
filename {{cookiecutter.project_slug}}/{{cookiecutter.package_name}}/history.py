"""History: the versions, each promotion with what it rests on, and what was deployed where; for people or as JSON."""

from __future__ import annotations

import sys

from . import config
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.names import COMMIT, GATES
from .toolkit.common.tag_text import line, redacted_json
from .toolkit.registry import audit_log, deployments
from .toolkit.registry.audit_log import Entry
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors


def run(settings: config.Settings, *, as_json: bool = False) -> None:
    """Print the versions, the changes of the champion, what ran where, and the rollouts that failed.

    As JSON, one object a line for each entry of the audit log, oldest first, and nothing else.
    """
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        versions, tags = registry.versions(), registry.tags()
    if not versions:
        raise UserError(f"{settings.model_name} has no versions in {registry.uri} yet. Make one: make train")
    entries = audit_log.entries(tags, versions)
    if as_json:
        for entry in entries:
            sys.stdout.write(redacted_json(entry.model_dump(), ascii_only=True) + "\n")
        return
    rows = [[str(v.number), ", ".join(v.aliases), v.tags.get(GATES, ""), v.tags.get(COMMIT, "")] for v in versions]
    console.table(["version", "aliases", "gates", "commit"], rows)
    console.say()
    for entry in entries:
        if entry.action == audit_log.UNREADABLE or entry.kind not in (audit_log.DEPLOYMENT, audit_log.ROLLOUT):
            _show(entry)
    _show_deployments([entry for entry in entries if entry.kind == audit_log.DEPLOYMENT])
    for entry in entries:
        if entry.kind == audit_log.ROLLOUT:
            where = f"{entry.target} {entry.place}, {_minute(entry.when)} UTC, {entry.who}"
            console.say(f"\nThe rollout of version {entry.version} failed ({line(where)}):\n{entry.why}")


def _show(entry: Entry) -> None:
    """Print an entry of the champion, a canary or a retraining, and below it what it rests on."""
    console.say(f"{f'{_minute(entry.when)} UTC' if entry.when else '':<20}  {entry.sentence()}")
    if evidence := entry.evidence():
        console.say(f"{'':<22}{evidence}", "dim")


def _show_deployments(entries: list[Entry]) -> None:
    """Print which version ran where, from when to when."""
    shown = [entry for entry in entries if entry.action not in (deployments.REMOVED, audit_log.UNREADABLE)]
    if shown:
        console.say()
    for entry in shown:
        until = f"{_minute(entry.until)} UTC" if entry.until else "now"
        image = f", image {entry.image}" if entry.image else ""
        text = f"{entry.serves} on {entry.target} {entry.place} ({entry.action} by {entry.who}{image})"
        console.say(f"{_minute(entry.when)} UTC  to {until}: {text}")


def _minute(when: str | None) -> str:
    return line((when or "")[:16].replace("T", " "))
