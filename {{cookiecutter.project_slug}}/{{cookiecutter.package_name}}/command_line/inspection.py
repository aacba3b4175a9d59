"""The commands that look at the project."""

from __future__ import annotations

from typing import Annotated

import typer

from . import guide as _guide
from . import settings as _settings

inspection = typer.Typer()


@inspection.command(epilog=_guide("make mlflow", "open the URL that it prints; Ctrl-C ends it."))
def mlflow(port: Annotated[int, typer.Option(help="Port to listen on.")] = 5000) -> None:
    """Show runs, plots and versions in a browser: a local MLflow server for the project's database."""
    from .. import mlflow_ui

    mlflow_ui.run(_settings(), port)


@inspection.command(
    epilog=_guide("make doctor", "do what it says of each line with a cross; the exit code is 1 if there is one.")
)
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as a JSON list.")] = False,
) -> None:
    """Check machine, MLflow, store, service and predictions: what is wrong, and what to do."""
    from .. import doctor

    raise typer.Exit(doctor.run(_settings(), as_json=as_json))


@inspection.command(epilog=_guide("make sbom", "make audit asks an advisory service about what they list."))
def sbom() -> None:
    """List what the environment, the image and the served versions consist of, in build/sbom/ (CycloneDX).

    The image is that of IMAGE, else the one that make build makes of this commit.
    """
    from .. import sbom

    sbom.run(_settings())


@inspection.command(
    epilog=_guide("make audit", "make lock UPGRADE=1 takes newer libraries; make build takes a newer base.")
)
def audit() -> None:
    """Check what make sbom listed against known vulnerabilities, at the advisory service in ADVISORY_URL.

    The exit code is 1 if there are any, and 3 if no service answered, so that nothing was checked.
    """
    from .. import audit

    raise typer.Exit(audit.run(_settings()))
