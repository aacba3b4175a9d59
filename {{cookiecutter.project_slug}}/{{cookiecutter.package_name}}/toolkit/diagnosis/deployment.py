"""The deployment: it answers, and serves what the registry wants; and the port that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from ..common.errors import UserError
from ..common.findings import Finding, error, ok, warning
from ..common.sockets import listen, listeners
from ..release.store import Release
from ..release.targets import ExplainsAbsence, Target


def service(target: Target, desired: Callable[[], Release | None]) -> Iterator[Finding]:
    """Check what is deployed; nothing is found where nothing is, and nothing can be.

    `desired` returns the registry's release, None if the registry does not answer.
    """
    running = target.running()
    if running is None:
        yield from _absent(target, desired)
        return
    if running.health == "ready":
        yield ok(f"{running.url}, {running.release.summary()}")
    else:
        yield error(f"{running.url}: {running.health}: make status shows more, make deploy starts it again")
    wanted = desired()
    if wanted is None:
        yield warning("whether it is in sync with the registry is unknown, since MLflow does not answer")
    elif wanted.same_as(running.release) or wanted.same_but_for_aliases(running.release):
        yield ok("in sync with the registry")
    else:
        yield warning(f"not in sync: the registry has {wanted.summary()}: make deploy serves it")


def _absent(target: Target, desired: Callable[[], Release | None]) -> Iterator[Finding]:
    """Find what has crashed, or what could be deployed."""
    text = target.absence() if isinstance(target, ExplainsAbsence) else ""
    # The port has a check of its own.
    lines = [line for line in text.splitlines() if not line.startswith("Port ")]
    said = " ".join(line for line in lines if not line.startswith("  "))
    if said:
        # The end of its log is indented.
        last = f' "{lines[-1].strip()}"' if lines[-1].startswith("  ") else ""
        yield error(f"{said if last else said.rstrip('.:')}{last}; make deploy starts it again")
        return
    with suppress(UserError):  # no champion, which is a finding about MLflow
        if wanted := desired():
            yield ok(f"nothing is deployed; make deploy serves {wanted.summary()}")


def port(address: str, number: int, target: Target) -> Iterator[Finding]:
    """Check that a port is free, unless the deployment is what listens there."""
    if target.running() is not None:
        return
    try:
        listen(address, number).close()
    except UserError as problem:
        yield warning(str(problem)) if _is_served_by_hand(number) else error(str(problem))
    else:
        yield ok(f"{number} is free")


def _is_served_by_hand(number: int) -> bool:
    return any(" serve" in found for found in listeners(number))
