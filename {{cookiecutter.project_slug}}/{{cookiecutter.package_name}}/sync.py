"""Sync: keep the store in step with the registry while a service runs over it."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime

from . import config
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.sockets import listen, url
from .toolkit.registry import webhook_receiver
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.registry.webhook_registration import register_webhook
from .toolkit.release.desired import converge
from .toolkit.release.store import Release, Store

#: The longest pause between two tries while the registry does not answer.
LONGEST_PAUSE = 60.0
#: The shortest pause between two rounds: a burst of deliveries is to be one round or two.
SHORTEST_PAUSE = 0.5


def run(settings: config.Settings, *, once: bool = False) -> None:
    """Poll the registry until interrupted; what goes wrong is said once, and the store stays as it was."""
    console.say(
        f"Keeping {settings.store} in step with {settings.mlflow_tracking_uri} "
        f"(every {settings.sync_seconds:g} s; Ctrl-C ends it)"
    )
    changed = threading.Event()
    with _listening(settings, changed) if settings.webhook_secret and not once else nullcontext():
        _keep_in_step(settings, changed, once=once)


def _keep_in_step(settings: config.Settings, changed: threading.Event, *, once: bool) -> None:
    store, registry = Store(settings.store), None
    unwanted: dict[int, float] = {}
    said, pause = "", settings.sync_seconds
    since: datetime | None = None
    while True:
        changed.clear()
        try:
            registry = registry or connect(settings.mlflow_tracking_uri, settings.model_name)
            with mlflow_errors(settings.mlflow_tracking_uri):
                release = converge(registry, store)
            if release.created != since:
                console.say(f"{release.created:%H:%M:%S}  {release.model}: {release.words()}")
            since = release.created
            _remove(store, release, unwanted, settings.grace_seconds)
            said, pause = "", settings.sync_seconds
        except (UserError, OSError) as error:
            problem = _words(error, store)
            with suppress(OSError):
                store.note(problem)
            if once:
                raise UserError(problem) from error
            if problem != said:
                console.say(f"{problem}\nThe store stays as it is; trying again.")
            said, pause = problem, min(2 * pause, LONGEST_PAUSE)
        if once:
            return
        _wait(changed, pause)


def register(settings: config.Settings, address: str) -> None:
    """Have the MLflow server deliver changes of the registry to an address, at which a `sync` can be reached."""
    if not settings.webhook_secret:
        raise UserError(
            "WEBHOOK_SECRET is not set, here and where sync runs; .env.example says how one is made. "
            "MLflow signs with it what it delivers."
        )
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        failure = register_webhook(registry, address, settings.webhook_secret.get_secret_value(), config.SERVICE_NAME)
    if failure:
        console.say(f"Registered. A first delivery to {address} failed, though: {failure}")
        console.next_steps(("make sync", "with the same WEBHOOK_SECRET, listening where that address leads"))
    else:
        console.say(f"Registered: a first delivery to {address} has arrived. Within a minute, changes are delivered.")


def _listening(settings: config.Settings, changed: threading.Event) -> AbstractContextManager[None]:
    """Return a context in which deliveries of MLflow set an event."""
    address, port = settings.bind_address, settings.webhook_port
    app = webhook_receiver.create_receiver(settings.webhook_secret.get_secret_value(), settings.model_name, changed.set)
    bound = listen(address, port, setting="WEBHOOK_PORT")
    console.say(f"Listening for MLflow's webhooks at {url(address, port)}; to have MLflow deliver there, once:")
    console.say(f"    make sync ARGS='--register http://<this host>:{port}'")
    return webhook_receiver.run_in_thread(app, bound)


def _wait(changed: threading.Event, seconds: float) -> None:
    """Wait until something has changed or the time is over."""
    moment = min(SHORTEST_PAUSE, seconds)
    time.sleep(moment)
    changed.wait(seconds - moment)


def _words(error: UserError | OSError, store: Store) -> str:
    """Return what went wrong, in the same words each time: the folders of downloads have names by chance."""
    strerror = error.strerror if isinstance(error, OSError) else None
    return f"{store.root} cannot be brought up to date: {strerror}" if strerror else str(error)


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
