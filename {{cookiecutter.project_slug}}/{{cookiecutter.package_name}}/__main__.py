"""The command line: one command for each button of the Makefile."""

# Imports of a command's module stand inside it: `--help` answers before MLflow or BentoML would be loaded.
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .toolkit.common.errors import UserError, attribute_errors_to, explain_missing_extras

if TYPE_CHECKING:
    from .config import Settings

app = typer.Typer(
    help="Train, promote, serve and deploy this project's model. Settings come from the environment or .env.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
Why = Annotated[str, typer.Option(help="The reason, kept in the registry's history.")]


def _settings() -> Settings:
    from pydantic import ValidationError

    from . import config

    try:
        return config.settings()
    except ValidationError as error:
        lines = [f"  {str(e['loc'][0]).upper()}={e['input']}: {e['msg']}" for e in error.errors()]
        raise UserError("Settings (environment or .env) that cannot be used:\n" + "\n".join(lines)) from None


@app.command()
def train() -> None:
    """Train a version, record and register it; make it champion when its gates pass."""
    from . import train

    train.run(_settings())


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Number or alias of the version.")] = "challenger",
    why: Why = "approved by hand",
) -> None:
    """Make a version the champion; with approval required, this is the approval."""
    from . import promote

    promote.run(_settings(), version, why)


@app.command()
def rollback(why: Why = "rolled back by hand") -> None:
    """Make the champion before this one the champion again."""
    from . import promote

    promote.roll_back(_settings(), why)


@app.command()
def history() -> None:
    """Show the versions and who made which of them champion, when and why."""
    from . import promote

    promote.show_history(_settings())


@app.command()
def predict(
    input: Annotated[Path, typer.Argument(help="CSV or Parquet file with the columns of Row.")],
    output: Annotated[Path, typer.Argument(help="CSV or Parquet file to write.")],
    version: Annotated[str, typer.Option(help="Number or alias of the version.")] = "champion",
) -> None:
    """Score a file: predictions beside the input columns, rows that break the contract in OUTPUT.rejects.csv."""
    from . import predict

    predict.run(_settings(), input, output, version)


@app.command()
def build() -> None:
    """Package the served versions and the service as a Bento."""
    from . import build

    build.run(_settings())


@app.command()
def serve(
    pull: Annotated[bool, typer.Option(help="Bring the store up to date with the registry first.")] = True,
    beside: Annotated[bool, typer.Option("--beside", hidden=True)] = False,
    probe_port: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the champion in the foreground."""
    from . import serve

    serve.run(_settings(), pull=pull, beside=beside, probe_port=probe_port)


@app.command()
def deploy() -> None:
    """Make TARGET serve what the registry says, and print the URL."""
    from . import deploy

    deploy.run(_settings())


@app.command()
def sync(
    once: Annotated[bool, typer.Option("--once", help="Do it once instead of until interrupted.")] = False,
    register: Annotated[
        str, typer.Option(metavar="URL", help="Only have MLflow deliver its webhooks to a sync that answers there.")
    ] = "",
) -> None:
    """Keep the store in step with the registry; a running service follows without a restart."""
    from . import sync

    if register:
        sync.register(_settings(), register)
    else:
        sync.run(_settings(), once=once)


@app.command()
def plan() -> None:
    """Show what deploy would change."""
    from . import deploy

    deploy.plan(_settings())


@app.command()
def status() -> None:
    """Show what is deployed, and whether it is what the registry says."""
    from . import deploy

    deploy.status(_settings())


@app.command()
def undeploy() -> None:
    """Take the deployment down."""
    from . import deploy

    deploy.undeploy(_settings())


@app.command()
def mlflow(port: Annotated[int, typer.Option(help="Port to listen on.")] = 5000) -> None:
    """Run a local MLflow server over the project's database."""
    from . import tracking

    tracking.run(_settings(), port)


@app.command()
def update() -> None:
    """Merge what is new in the template into the project, renew the locks, and run the tests."""
    from . import update

    update.run()


@app.command()
def edits() -> None:
    """Name the files of the toolkit that were edited in this project; a warning, never a failure."""
    from . import edits

    edits.run()


def main() -> None:
    """Run a command; what a person can mend is said in a sentence, and ends with exit code 1."""
    try:
        with attribute_errors_to(Path(__file__).parent / "model"), explain_missing_extras():
            app()
    except UserError as error:
        if os.environ.get("DEBUG"):
            raise
        from .toolkit.common import console

        console.err.print("Error:", style="bold red", end=" ")
        console.err.print(str(error), markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
