"""Kafka: its brokers can be reached, and there is a library that talks to them."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Iterator

from ..common.findings import Finding, error, ok, warning

CONNECT_SECONDS = 5


def check(brokers: str) -> Iterator[Finding]:
    """Connect to each broker of a list; clients need one, and learn of the others by it."""
    importlib.import_module("aiokafka")
    failures, addresses = [], [address.strip() for address in brokers.split(",") if address.strip()]
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        except (OSError, ValueError) as problem:
            failures.append(f"{address} ({problem})")
    if len(failures) == len(addresses):
        yield error(
            f"no broker of KAFKA_BROKERS answers: {', '.join(failures) or 'it is empty'}: start one, or correct it"
        )
    elif failures:
        yield warning(f"of KAFKA_BROKERS, this does not answer: {', '.join(failures)}: start it, or take it out")
    else:
        yield ok(f"{brokers} can be reached")
