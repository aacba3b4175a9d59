"""Sync: keep the store in sync with the registry while a service runs over it; or a deployment on a cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from . import config
from .shared.reconciliation import reconciler
from .shared.trust import approval_rules, model_store
from .toolkit.canary.rollback_watch import RollbackWatch
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.sockets import listen, url
from .toolkit.monitoring.prometheus_api import PrometheusApi
from .toolkit.registry import webhook_receiver
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.registry.webhook_registration import register_webhook
from .toolkit.release.synchronizer import Synchronizer

#: The shortest pause in seconds between two rounds: a burst of webhook deliveries makes one round or two.
SHORTEST_PAUSE = 0.5


def run(settings: config.Settings, *, once: bool = False) -> None:
    """Reconcile with the registry once, or until interrupted; a new problem is printed once.

    The store is reconciled, and with TARGET=kubernetes the deployment too.
    """
    on_cluster = settings.target == "kubernetes"
    synchronizer = Synchronizer(
        settings.mlflow_tracking_uri,
        settings.model_name,
        model_store(settings),
        interval=settings.sync_seconds,
        grace=settings.grace_seconds,
        rollback_seconds=settings.rollback_seconds,
        watch=_watch(settings),
        deploy=reconciler(settings) if on_cluster else None,
    )
    if once:
        synchronizer.round()
        return
    console.say(
        f"Keeping {'the deployment on the cluster' if on_cluster else settings.store} in sync with "
        f"{settings.mlflow_tracking_uri} (every {settings.sync_seconds:g} s; Ctrl-C ends it)"
    )
    if _watches(settings):
        console.say(
            f"For {console.duration(settings.rollback_seconds)} after a promotion, an alert with the label rollback at "
            f"{settings.prometheus_url} brings the previous champion back."
        )
    changed = threading.Event()
    with _webhooks(settings, changed) if settings.webhook_secret else nullcontext():
        repeat(synchronizer.step, changed)


def _watches(settings: config.Settings) -> bool:
    """Whether alerts may roll back: not without a Prometheus, nor without a time for it."""
    return bool(settings.prometheus_url and settings.rollback_seconds)


def _watch(settings: config.Settings) -> RollbackWatch | None:
    """Return what rolls back a champion for which an alert fires, None if nothing does."""
    if not _watches(settings):
        return None
    return RollbackWatch(
        PrometheusApi(settings.prometheus_url),
        approval_rules(settings),
        settings.rollback_seconds,
        job=settings.prometheus_job,
    )


def wait_for_change(changed: threading.Event, seconds: float) -> None:
    """Wait until an event is set, at least `SHORTEST_PAUSE`, at most some seconds."""
    shortest = min(SHORTEST_PAUSE, seconds)
    time.sleep(shortest)
    changed.wait(seconds - shortest)


def repeat(
    step: Callable[[], float],
    changed: threading.Event,
    wait: Callable[[threading.Event, float], None] = wait_for_change,
) -> None:
    """Repeat a step; after each, wait the seconds that it returned or until something has changed."""
    while True:
        changed.clear()
        wait(changed, step())


def register(settings: config.Settings, address: str) -> None:
    """Register a webhook: have the MLflow server deliver changes of the registry to a `sync` at an address."""
    if not settings.webhook_secret:
        raise UserError(
            "WEBHOOK_SECRET is not set. MLflow signs its deliveries with it, so set it here and where sync runs; "
            ".env.example shows how to make one."
        )
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        failure = register_webhook(registry, address, settings.webhook_secret.get_secret_value(), config.SERVICE_NAME)
    if failure:
        console.say(f"Registered, but a test delivery to {address} failed: {failure}")
        console.next_steps(("make sync", f"with the same WEBHOOK_SECRET, on the host that answers at {address}"))
    else:
        console.say(f"Registered: a test delivery to {address} has arrived. MLflow delivers changes within a minute.")


def _webhooks(settings: config.Settings, changed: threading.Event) -> AbstractContextManager[None]:
    """Return a context in which webhook deliveries of MLflow set an event."""
    address, port = settings.bind_address, settings.webhook_port
    app = webhook_receiver.create_receiver(settings.webhook_secret.get_secret_value(), settings.model_name, changed.set)
    bound = listen(address, port, setting="WEBHOOK_PORT")
    console.say(f"Listening for MLflow's webhooks at {url(address, port)}. To have MLflow deliver there, run once:")
    console.say(f"    make sync ARGS='--register http://<this host>:{port}'")
    return webhook_receiver.run_in_thread(app, bound)
