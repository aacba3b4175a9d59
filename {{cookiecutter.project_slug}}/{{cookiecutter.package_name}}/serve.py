"""Serve: run the service in the foreground, with the scoring routes before BentoML's routes."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from starlette.types import ASGIApp

from . import config
from .access import access_policy
from .toolkit.common import console
from .toolkit.common.errors import UserError, explain_missing_extras
from .toolkit.common.scratch import scratch_folder
from .toolkit.common.sockets import listen, url
from .toolkit.release.store import Store

GRACE_SECONDS = 30


def run(
    settings: config.Settings, *, pull: bool = True, share_port: bool = False, probe_port: int | None = None
) -> None:
    """Serve until a signal arrives; `share_port` shares the port with the process that this one replaces."""
    policy, store = access_policy(settings), Store(settings.store)
    policy.load()
    if pull:
        _pull(settings, store)
    release = store.required_release()
    for number, digest in release.digests.items():  # a version that was damaged is a sentence here, later a traceback
        store.load(number, digest)
    sockets = [listen(settings.bind_address, settings.port, share=share_port)]
    if probe_port:
        sockets.append(listen("127.0.0.1", probe_port))
    address = url(settings.bind_address, settings.port)
    console.say(f"Serving version {release.champion} of {release.model} at {address} (Ctrl-C ends it)")
    console.say(*policy.describe(settings.bind_address))
    with scratch_folder(Path(tempfile.gettempdir()), f"{config.SERVICE_NAME}-metrics-") as metrics:
        # Each worker writes its counters to files in this directory; /metrics adds them up.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        _serve(settings, sockets)


def _pull(settings: config.Settings, store: Store) -> None:
    """Pull the registry's release; if that fails, the store's release is served, if there is one."""
    try:
        with explain_missing_extras():
            # Not above: the service is installed without MLflow.
            from .toolkit.release.reconcile import pull_release

        pull_release(settings.mlflow_tracking_uri, settings.model_name, store)
    except UserError as error:
        if store.release() is None:
            raise
        problem = str(error).rstrip(".")
        console.say(f"{problem}. Serving the release in {store.root}, which may not be in sync with the registry.")


def _serve(settings: config.Settings, sockets: list[socket.socket]) -> None:
    import uvicorn

    server = uvicorn.Config(
        f"{__package__}.serve:app",
        factory=True,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        workers=settings.workers,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    if settings.workers == 1:
        # After the requests in progress, uvicorn raises the signal again, which must end in exit code 0.
        signal.signal(signal.SIGTERM, lambda *_: None)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(server).run(sockets)
    else:
        from uvicorn.supervisors import Multiprocess

        Multiprocess(server, sockets).run()


def app() -> ASGIApp:
    """Return the ASGI application: the scoring routes before BentoML's routes."""
    from .service import application

    return application()
