"""Addresses and ports of this machine."""

from __future__ import annotations

import socket

from .errors import UserError


def listen(address: str, port: int, *, share: bool = False, setting: str = "PORT") -> socket.socket:
    """Return a socket bound to a port, 0 for any free one; `UserError` if the port is in use.

    Sockets bound with `share` can bind the same port at the same time, so that a new process can replace an old one.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((address, port))
    except OSError as error:
        bound.close()
        raise UserError(
            f"{address}:{port} cannot be used ({error.strerror}). Choose another port, for example "
            f"{setting}={port + 1}."
        ) from error
    return bound


def free_port() -> int:
    """Return a free port of the loopback address."""
    with listen("127.0.0.1", 0) as probe:
        return int(probe.getsockname()[1])


def url(address: str, port: int) -> str:
    """Return the URL of an address and port, as this machine can open it."""
    host = "127.0.0.1" if address in ("0.0.0.0", "::") else address
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
