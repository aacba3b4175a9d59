"""What the commands of the command line share: the settings, the reason of a change, the end of a help text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .toolkit.common.errors import UserError

if TYPE_CHECKING:
    from .config import Settings

Why = Annotated[str, typer.Option(help="The reason, recorded in the registry.")]
NO_REASON = "no reason given"


def guide(example: str, following: str) -> str:
    """Return the end of a command's help: an example to paste, and what comes next."""
    return f"Example: [bold]{example}[/]\n\nNext: {following}"


def settings() -> Settings:
    """Return the settings; `UserError` lists those that are invalid."""
    from pydantic import ValidationError

    from . import config

    try:
        return config.settings()
    except ValidationError as error:
        lines = [f"  {str(e['loc'][0]).upper()}={e['input']}: {e['msg']}" for e in error.errors()]
        raise UserError("Invalid settings (environment variables or .env):\n" + "\n".join(lines)) from None
