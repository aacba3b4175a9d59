"""Promote and roll back: set the champion, and record who did it, when, from, to and why."""

from __future__ import annotations

from . import config
from .command_line import NO_REASON
from .shared.promotion import promote
from .shared.trust import approval_rules
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.names import CHAMPION
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.release import rollback


def run(settings: config.Settings, reference: str, why: str, *, force: bool = False) -> int:
    """Make a version, by number or alias, the champion, and return its number; `force` overrides its gates."""
    if force and why in ("", NO_REASON):
        raise UserError(f'FORCE=1 needs a reason: make promote VERSION={reference} FORCE=1 WHY="..."')
    event = promote(settings, reference, why, force=force)
    if event is None:
        registry = connect(settings.mlflow_tracking_uri, settings.model_name)
        with mlflow_errors(settings.mlflow_tracking_uri):
            number = registry.get(reference).number
        console.say(f"Version {number} of {settings.model_name} is the {CHAMPION} already.")
        return number
    console.next_steps(("make deploy", "serve it"), ("make rollback", "undo the promotion"))
    return event.target


def roll_back(settings: config.Settings, why: str) -> int:
    """Make the previous champion the champion again, and return its number; each further call goes one back."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        event = rollback.roll_back(registry, approval_rules(settings), why)
        console.say(event.sentence())
    return event.target
