"""Promote and roll back: set the champion, and record who did it, when, from, to and why."""

from __future__ import annotations

from . import config
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.names import CHAMPION, COMMIT, GATES, GATES_FAILED
from .toolkit.registry import deployments, history
from .toolkit.registry.client import RegisteredVersion, Registry, connect
from .toolkit.registry.errors import mlflow_errors


def run(settings: config.Settings, reference: str, why: str) -> int:
    """Make a version, by number or alias, the champion; `UserError` if its gates have not passed."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        version = registry.get(reference)
        if CHAMPION in version.aliases:
            console.say(f"Version {version.number} of {settings.model_name} is the {CHAMPION} already.")
            return version.number
        _check_gates(version)
        console.say(history.move_champion(registry, version.number, history.PROMOTED, why).sentence())
        console.next_steps(("make deploy", "serve it"), ("make rollback", "undo the promotion"))
    return version.number


def roll_back(settings: config.Settings, why: str) -> int:
    """Make the previous champion the champion again, and return its number; each further call goes one back."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        champion = registry.find(CHAMPION)
        if champion is None:
            first = "make promote" if registry.versions() else "make train"
            raise UserError(
                f"{settings.model_name} has no {CHAMPION} yet, so there is nothing to roll back. First: {first}"
            )
        champions = history.champions(history.events(registry))
        if not champions or champions[-1] != champion.number:
            champions.append(champion.number)  # the alias was set in MLflow itself, which records no event
        if len(champions) < 2:
            raise UserError(
                f"Version {champion.number} is the first {CHAMPION} of {settings.model_name}: there is no earlier one "
                "to roll back to. Choose a version yourself: make promote VERSION=n"
            )
        previous = champions[-2]
        console.say(history.move_champion(registry, previous, history.ROLLED_BACK, why).sentence())
        console.next_steps(("make deploy", "serve it"))
    return previous


def show_history(settings: config.Settings) -> None:
    """Print the versions, the changes of the champion, what ran where, and the rollouts that failed."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        versions = registry.versions()
        if not versions:
            raise UserError(f"{settings.model_name} has no versions in {registry.uri} yet. Make one: make train")
        rows = [[str(v.number), ", ".join(v.aliases), v.tags.get(GATES, ""), v.tags.get(COMMIT, "")] for v in versions]
        console.table(["version", "aliases", "gates", "commit"], rows)
        console.say()
        for event in history.events(registry):
            console.say(f"{_minute(event.when)} UTC  {event.sentence()}")
        _show_deployments(registry)
        for version in versions:
            for failure in deployments.failures(version):
                where = f"{failure.target} {failure.place}, {_minute(failure.when)} UTC, {failure.who}"
                console.say(f"\nThe rollout of version {version.number} failed ({where}):\n{failure.reason}")


def _show_deployments(registry: Registry) -> None:
    """Print which version ran where, from when to when."""
    periods = deployments.periods(deployments.events(registry))
    if not periods:
        return
    console.say()
    for event, until in periods:
        image = f", image {event.image}" if event.image else ""
        console.say(
            f"{_minute(event.when)} UTC  to {f'{_minute(until)} UTC' if until else 'now'}: {event.serves} on "
            f"{event.target} {event.place} ({event.action} by {event.who}{image})"
        )


def _minute(when: str) -> str:
    return when[:16].replace("T", " ")


def _check_gates(version: RegisteredVersion) -> None:
    """Raise `UserError` unless the gates of a version have passed."""
    gates = version.tags.get(GATES)
    if gates == "passed":
        return
    reasons = version.tags.get(GATES_FAILED) or f"its gates are {gates or 'not evaluated'}"
    raise UserError(
        f"Version {version.number} is not promoted: {reasons}. Train a better version, or change the bounds in "
        "model/quality.py and train again."
    )
