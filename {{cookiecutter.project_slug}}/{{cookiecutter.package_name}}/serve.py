"""Serve: run the service in the foreground, with the scoring routes before BentoML's routes."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from . import config
from .shared.access import access_policy
from .shared.trust import model_store
from .toolkit.common import console
from .toolkit.common.scratch import scratch_folder
from .toolkit.common.sockets import listen, url
from .toolkit.release.instances import Instances
from .toolkit.release.pulling import pull_or_keep
from .toolkit.serving.handover import Handover

if TYPE_CHECKING:
    from .toolkit.serving.server import Take

#: The engine starts a container again as soon as it has ended: after this pause if nobody needs it.
PAUSE_SECONDS = 60


def run(settings: config.Settings, *, pull: bool = True, record: Path | None = None, instance: str = "") -> None:
    """Serve until a signal arrives.

    `record` is the record of a deployment: the service listens when this names it by its id, `instance`.
    """
    if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # Lambda runs the image as it is
        # Not above: it counts, and where counts go is decided when Prometheus' client is imported.
        from . import aws_lambda

        return aws_lambda.run(settings)
    # Before the server handles signals: process 1 of a container would ignore this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    instances = Instances(record) if record else None
    if instances and os.getpid() == 1 and instances.is_abandoned(instance):
        console.say(f"{record} does not name this container, {instance}: it serves nothing and can be removed.")
        time.sleep(PAUSE_SECONDS)
        return
    policy, store = access_policy(settings), model_store(settings)
    policy.load()
    # An image serves the release that it holds, also where `serve` is its only argument, as on SageMaker.
    if pull and "IMAGE_ENVIRONMENT" not in os.environ:
        pull_or_keep(settings.mlflow_tracking_uri, settings.model_name, store)
    release = store.required_release()
    for number, digest in release.digests.items():  # a version that was damaged is a sentence here, later a traceback
        store.load(number, digest)
    bind = partial(listen, settings.bind_address, settings.port)
    listener = None if record else bind()
    address = url(settings.bind_address, settings.port)
    console.say(f"Serving version {release.champion} of {release.model} at {address} (Ctrl-C ends it)")
    console.say(*policy.describe(settings.bind_address))
    with scratch_folder(Path(tempfile.gettempdir()), f"{config.SERVICE_NAME}-metrics-") as metrics:
        # Each worker writes its counters to files in this directory; /metrics adds them up.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        if listener:
            _serve(settings, listener.dup, None, listener.close)
            return
        assert instances
        with Handover(
            instances, instance, settings.bind_address, settings.port, workers=settings.workers, bind=bind
        ) as handover:
            _serve(settings, partial(instances.listener, instance), handover.http, handover.stop)


def _serve(settings: config.Settings, take: Take, http: socket.socket | None, stopping: Callable[[], None]) -> None:
    # Not above: it takes a while, and the commands that only look at settings need none of it.
    from .toolkit.serving import server

    application = f"{__package__}.serve:app"
    if settings.workers == 1:
        server.serve(application, take, http, stopping)
    else:
        server.serve_with_workers(settings.workers, application, take, http, stopping)


def app() -> ASGIApp:
    """Return the ASGI application: the scoring routes before BentoML's routes."""
    from .service import application

    return application()
