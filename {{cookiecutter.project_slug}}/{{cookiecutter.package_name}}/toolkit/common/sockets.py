"""Addresses and ports of this machine."""

from __future__ import annotations

import errno
import socket
import time

from .errors import UserError

#: Characters of a command line that are shown.
SHOWN = 120
UNKNOWN = "a process of another user"


def listen(address: str, port: int, *, setting: str = "PORT", wait: float = 0) -> socket.socket:
    """Return a socket bound to a port, 0 for any free one, after waiting at most some seconds for the port.

    `UserError` names what else listens there, if this user may see it.
    """
    deadline = time.monotonic() + wait
    while True:
        bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((address, port))
            return bound
        except OSError as error:
            bound.close()
            in_use = error.errno == errno.EADDRINUSE
            if not in_use or time.monotonic() >= deadline:
                found = "; ".join(listeners(port)) if in_use else ""
                raise UserError(
                    f"{address}:{port} cannot be used ({error.strerror}{f': {found}' if found else ''}). "
                    f"Choose another port, for example {setting}={port + 1}."
                ) from error
        time.sleep(0.05)


def listeners(port: int) -> list[str]:
    """Return what listens on a TCP port: process number and command line, as far as this user may see them."""
    try:
        import psutil
    except ModuleNotFoundError:
        return []
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:  # macOS shows all connections to root alone
        return []
    found = {c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr[1] == port}
    described = []
    for pid in sorted(found, key=lambda pid: pid or 0):
        try:
            described.append(f"process {pid}, {' '.join(psutil.Process(pid).cmdline())[:SHOWN]}" if pid else UNKNOWN)
        except psutil.Error:
            described.append(f"process {pid}")
    return described


def free_port() -> int:
    """Return a free port of the loopback address."""
    with listen("127.0.0.1", 0) as probe:
        return int(probe.getsockname()[1])


def url(address: str, port: int) -> str:
    """Return the URL of an address and port, as this machine can open it."""
    host = "127.0.0.1" if address in ("0.0.0.0", "::") else address
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
