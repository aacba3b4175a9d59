"""Serve: run the service in the foreground, with the scoring routes in front of BentoML's layers."""

from __future__ import annotations

import os
import socket
import tempfile

from starlette.types import ASGIApp

from . import config
from .toolkit.errors import UserError
from .toolkit.store import Store

GRACE_SECONDS = 30


def run(settings: config.Settings, *, beside: bool = False, probe_port: int | None = None) -> None:
    """Serve until a signal comes; `beside` shares the port with the process that this one is to replace."""
    if Store(settings.store).release() is None:
        raise UserError(f"{settings.store} holds no release to serve. Make one: make train && make deploy")
    sockets = [listen(settings.bind_address, settings.port, share=beside)]
    if probe_port:
        sockets.append(listen("127.0.0.1", probe_port))
    with tempfile.TemporaryDirectory(prefix="metrics-") as metrics:
        # Each worker counts in files of this directory; /metrics adds them up.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
        _serve(settings, sockets)


def _serve(settings: config.Settings, sockets: list[socket.socket]) -> None:
    import uvicorn

    server = uvicorn.Config(
        f"{__package__}.serve:app",
        factory=True,
        log_level="warning",
        access_log=False,
        workers=settings.workers,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    if settings.workers == 1:
        uvicorn.Server(server).run(sockets)
    else:
        from uvicorn.supervisors import Multiprocess

        Multiprocess(server, sockets).run()


def app() -> ASGIApp:
    """Return the ASGI application: the scoring routes in front, BentoML's service behind."""
    from .service import front

    return front()


def listen(address: str, port: int, *, share: bool = False) -> socket.socket:
    """Return a socket bound to a port; `UserError` if another program has it."""
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((address, port))
    except OSError as error:
        bound.close()
        raise UserError(
            f"{address}:{port} cannot be used ({error.strerror}). Choose another port, e.g. PORT={port + 1}."
        ) from error
    return bound
