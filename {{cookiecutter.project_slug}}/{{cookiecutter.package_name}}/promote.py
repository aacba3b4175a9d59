"""Promote and roll back: move the champion, and record who did it, when, from, to and why."""

from __future__ import annotations

from . import config
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.names import CHAMPION
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.registry.history import Event

ROLLED_BACK = "rolled back"


def run(settings: config.Settings, reference: str, why: str) -> int:
    """Make a version, by number or alias, the champion; `UserError` if its gates have not passed."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        version = registry.get(reference)
        if CHAMPION in version.aliases:
            console.say(f"Version {version.number} of {settings.model_name} is the champion already.")
            return version.number
        gates = version.tags.get("gates", "never judged")
        if gates != "passed":
            reasons = version.tags.get("gates.failed") or f"its gates are {gates}"
            raise UserError(
                f"Version {version.number} is not promoted: {reasons}. Train a better version, or change the bounds in "
                "model/quality.py and train again."
            )
        console.say(sentence(registry.move_champion(version.number, "promoted", why)))
        console.next_steps(("make deploy", "serve it"), ("make rollback", "take it back"))
    return version.number


def roll_back(settings: config.Settings, why: str) -> int:
    """Make the champion before this one the champion again; again and again it goes further back."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        champion = registry.find(CHAMPION)
        if champion is None:
            raise UserError(
                f"{settings.model_name} has no champion yet, so there is nothing to roll back. First: make train"
            )
        earlier = champions(registry.history())
        if not earlier or earlier[-1] != champion.number:
            earlier.append(champion.number)  # pointed at by hand, in MLflow's own interface
        if len(earlier) < 2:
            raise UserError(
                f"Version {champion.number} is the first champion of {settings.model_name}: nothing stands before it."
            )
        console.say(sentence(registry.move_champion(earlier[-2], ROLLED_BACK, why)))
        console.next_steps(("make deploy", "serve it"))
    return earlier[-2]


def show_history(settings: config.Settings) -> None:
    """Print the changes of the champion and the versions there are."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        versions = registry.versions()
        if not versions:
            raise UserError(f"{settings.model_name} has no versions in {registry.uri} yet. Make one: make train")
        rows = [
            [str(v.number), ", ".join(v.aliases), v.tags.get("gates", ""), v.tags.get("commit", "")] for v in versions
        ]
        console.table(["version", "aliases", "gates", "commit"], rows)
        console.say()
        for event in registry.history():
            console.say(f"{event.when[:16].replace('T', ' ')} UTC  {sentence(event)}")


def champions(history: list[Event]) -> list[int]:
    """Return the champions that a rollback can go back through, oldest first, the present one last."""
    stack: list[int] = []
    for event in history:
        if event.source is not None and (not stack or stack[-1] != event.source):
            stack.append(event.source)
        earlier = [i for i, number in enumerate(stack[:-1]) if number == event.target]
        if event.action == ROLLED_BACK and earlier:
            del stack[earlier[-1] + 1 :]
        else:
            stack.append(event.target)
    return stack


def sentence(event: Event) -> str:
    """Return an event in words."""
    before = f", instead of version {event.source}" if event.source else ""
    return f"Version {event.target} is {CHAMPION} now{before} ({event.action} by {event.who}: {event.why})."
