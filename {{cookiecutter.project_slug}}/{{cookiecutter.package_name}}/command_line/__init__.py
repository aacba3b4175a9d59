"""The command line: a module for each heading of `make help`, and what they share.

A command imports its module when it runs: `--help` must not wait for MLflow or BentoML.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..toolkit.common import redaction
from ..toolkit.common.errors import UserError, attribute_errors_to, explain_missing_extras, explain_os_errors
from ..toolkit.common.invalid_values import cure

if TYPE_CHECKING:
    from ..config import Settings

#: By the environment, in which make passes it on: no shell ever reads the text.
Why = Annotated[str, typer.Option(envvar="WHY", help="The reason, recorded in the registry.")]
Force = Annotated[bool, typer.Option("--force", help="In spite of failed gates; --why is needed then.")]
NO_REASON = "no reason given"


def guide(example: str, following: str) -> str:
    """Return the end of a command's help: an example to paste, and what comes next."""
    return f"Example: [bold]{example}[/]\n\nNext: {following}"


def settings() -> Settings:
    """Return the settings; `UserError` lists those that are invalid."""
    from pydantic import ValidationError

    from .. import config

    try:
        return config.settings()
    except ValidationError as error:
        lines = [f"  {str(e['loc'][0]).upper()}={e['input']}: {cure(e)}" for e in error.errors()]
        raise UserError("Invalid settings (environment variables or .env):\n" + "\n".join(lines)) from None


def run(app: typer.Typer) -> None:
    """Run a command; a `UserError` is printed without a traceback, and the exit code is 1."""
    redaction.install()
    try:
        with attribute_errors_to(Path(__file__).parents[1] / "model"), explain_missing_extras(), explain_os_errors():
            app()
    except Exception as error:
        from ..toolkit.common import console

        console.show_error(error)
        sys.exit(1)
