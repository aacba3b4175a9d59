"""The commands that change the champion, and tell who did."""

from __future__ import annotations

from typing import Annotated

import typer

from ..toolkit.common.termination import terminable
from . import NO_REASON, Force, Why
from . import guide as _guide
from . import settings as _settings

promotion = typer.Typer()


@promotion.command(
    epilog=_guide("make promote VERSION=3 WHY=reviewed", "make deploy serves it; make rollback takes it back.")
)
def promote(
    version: Annotated[str, typer.Argument(help="Number or alias of the version.")] = "challenger",
    why: Why = NO_REASON,
    force: Force = False,
) -> None:
    """Make a version the champion. With APPROVAL_REQUIRED, this is the approval."""
    from .. import promote

    promote.run(_settings(), version, why, force=force)


@promotion.command(
    epilog=_guide("make rollback WHY=complaints", "make deploy serves it; make history shows both promotions.")
)
def rollback(why: Why = NO_REASON) -> None:
    """Make the previous champion the champion again. A second rollback goes back one champion further."""
    from .. import deploy, promote

    settings = _settings()
    deploy.roll_back(settings, promote.roll_back(settings, why))


@promotion.command(
    epilog=_guide(
        "make canary", "it promotes the version, or takes it back; make history has the figures of each step."
    )
)
def canary(
    version: Annotated[str, typer.Argument(help="Number or alias of the version; by default the challenger.")] = "",
    abort: Annotated[bool, typer.Option("--abort", help="Take the canary in progress back.")] = False,
    why: Why = NO_REASON,
) -> None:
    """Raise a version's share of the traffic in steps; it is promoted if it is not worse, or loses the traffic again.

    Interrupted, it goes on where it was. Settings: CANARY_STEPS, CANARY_REQUESTS, CANARY_SECONDS, PROMETHEUS_URL.
    """
    from .. import canary

    with terminable():
        if abort:
            canary.abort(_settings(), why)
        else:
            canary.run(_settings(), version)


@promotion.command(epilog=_guide("make history", "make promote VERSION=3 makes a version the champion."))
def history(
    as_json: Annotated[bool, typer.Option("--json", help="Print the entries only, each as a line of JSON.")] = False,
) -> None:
    """Show the versions, each promotion (who, when, why, on which evidence), and what was deployed where."""
    from .. import history

    history.run(_settings(), as_json=as_json)
