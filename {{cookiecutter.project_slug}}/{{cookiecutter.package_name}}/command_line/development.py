"""The commands that maintain the project."""

from __future__ import annotations

import typer

from . import guide as _guide

development = typer.Typer()


@development.command(epilog=_guide("make update", "commit the changes, or undo them with the command that it prints."))
def update() -> None:
    """Merge what is new in the template into the project, renew the locks, and run the tests."""
    from .. import update

    update.run()


@development.command(epilog=_guide("make workflows", "commit what it wrote; run it again after make update."))
def workflows() -> None:
    """Write this project's GitHub workflows to the top of the repository, if the project is in a folder of it."""
    from .. import workflows

    workflows.run()


@development.command(epilog=_guide("make lint", "propose the edits to the template, or write model/endpoints.py."))
def edits() -> None:
    """Warn if files of toolkit/ were edited in this project; never fails."""
    from .. import toolkit_edits

    toolkit_edits.run()
