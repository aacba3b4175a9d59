"""Sync: keep the store in step with the registry while a service runs over it."""

from __future__ import annotations

import time

from . import config
from .toolkit import console
from .toolkit.desired import converge
from .toolkit.errors import UserError
from .toolkit.registry import Registry, connect, explained
from .toolkit.store import Release, Store

#: The longest pause between two tries while the registry does not answer.
LONGEST_PAUSE = 60.0


def run(settings: config.Settings, *, once: bool = False) -> None:
    """Poll the registry until interrupted; what goes wrong is said once, and the store stays as it was."""
    store, registry = Store(settings.store), None
    unwanted: dict[int, float] = {}
    said, pause = "", settings.sync_seconds
    console.say(f"Keeping {store.root} in step with {settings.mlflow_tracking_uri} (every {pause:g} s; Ctrl-C ends it)")
    while True:
        try:
            registry = registry or connect(settings.mlflow_tracking_uri, settings.model_name)
            release = _step(settings, registry, store)
            _remove(store, release, unwanted, settings.grace_seconds)
            said, pause = "", settings.sync_seconds
        except (UserError, OSError) as error:
            if once:
                raise UserError(str(error)) from error
            if str(error) != said:
                console.say(f"{error}\nThe store stays as it is; trying again.")
            said, pause = str(error), min(2 * pause, LONGEST_PAUSE)
        if once:
            return
        time.sleep(pause)


def _step(settings: config.Settings, registry: Registry, store: Store) -> Release:
    before = store.release()
    with explained(settings.mlflow_tracking_uri):
        release = converge(registry, store)
    if not release.same_as(before):
        console.say(f"{release.created:%H:%M:%S}  {release.model}: {release.words()}")
    return release


def _remove(store: Store, release: Release, unwanted: dict[int, float], grace: float) -> None:
    """Remove versions that no release has wanted for the grace time; a rollback in between finds them here."""
    now = time.monotonic()
    for number in store.versions():
        if number in release.versions:
            unwanted.pop(number, None)
        elif now - unwanted.setdefault(number, now) >= grace:
            store.remove(number)
            del unwanted[number]
            console.say(f"Removed version {number}, which nothing has asked for during {grace:g} s")
