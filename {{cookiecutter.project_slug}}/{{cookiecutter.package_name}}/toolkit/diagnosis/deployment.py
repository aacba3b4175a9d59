"""The deployment: it answers, and serves what the registry wants; and the port that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..common.errors import UserError
from ..common.findings import Finding, error, ok, warning
from ..common.sockets import listen, listeners
from ..release.store import Release
from ..release.targets import ExplainsAbsence, Target


def service(target: Target, desired: Callable[[], Release | None]) -> Iterator[Finding]:
    """Check what is deployed; nothing is found where nothing is, and nothing has crashed.

    `desired` returns the registry's release, None if the registry does not answer.
    """
    running = target.running()
    if running is None:
        text = target.absence() if isinstance(target, ExplainsAbsence) else ""
        # The end of a log is indented; the port has a check of its own.
        if lines := [line for line in text.splitlines() if not line.startswith(("  ", "Port "))]:
            yield error(f"{' '.join(lines).rstrip(':')}: make deploy starts it again")
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
