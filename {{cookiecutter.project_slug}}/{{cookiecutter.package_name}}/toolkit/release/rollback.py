"""Rollback: the previous champion becomes champion again, by a person or by an alert."""

from __future__ import annotations

from ..common.errors import UserError
from ..common.names import CHAMPION
from ..registry import history
from ..registry.client import Registry
from ..registry.history import Event
from ..registry.identity import Person
from .approval import ApprovalRules


def previous_champion(registry: Registry) -> int:
    """Return the previous champion; `UserError` if there is none."""
    champion = registry.find(CHAMPION)
    if champion is None:
        first = "make promote" if registry.versions() else "make train"
        raise UserError(f"{registry.name} has no {CHAMPION} yet, so there is nothing to roll back. First: {first}")
    champions = history.champions(history.events(registry))
    if not champions or champions[-1] != champion.number:
        champions.append(champion.number)  # the alias was set in MLflow itself, which records no event
    if len(champions) < 2:
        raise UserError(
            f"Version {champion.number} is the first {CHAMPION} of {registry.name}: there is no earlier one "
            "to roll back to. Choose a version yourself: make promote VERSION=n"
        )
    return champions[-2]


def roll_back(registry: Registry, approvals: ApprovalRules, why: str, user: Person | None = None) -> Event:
    """Make the previous champion the champion again, and return the event; each further call goes one back.

    `user` is who decided, by default the current user. `UserError` if there is none, or if it may not be served.
    """
    previous = previous_champion(registry)
    if problem := approvals.problem(registry.get(str(previous))):
        raise UserError(problem)
    return history.move_champion(registry, previous, history.ROLLED_BACK, why, [], user=user)
