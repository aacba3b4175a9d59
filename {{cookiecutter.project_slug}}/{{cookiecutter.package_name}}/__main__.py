"""The command line: the commands that the Makefile calls."""

# Each command imports its module when it runs: `--help` must not wait for MLflow or BentoML.
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .command_line import guide as _guide
from .command_line import run as _run
from .command_line import settings as _settings
from .command_line.monitoring import monitoring
from .command_line.promotion import promotion
from .command_line.training import training
from .command_line.upkeep import upkeep
from .toolkit.common.imports import uncollected
from .toolkit.common.termination import terminable

app = typer.Typer(
    help=(
        "Train, promote, serve and deploy this project's model.\n\n"
        "Start with [bold]make train[/], then [bold]make deploy[/]. "
        "Settings are environment variables or lines of .env; docs/settings.md lists them."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


app.registered_commands += training.registered_commands


app.registered_commands += promotion.registered_commands


@app.command(
    epilog=_guide(
        "make predict INPUT=rows.csv OUTPUT=predictions.parquet", "make mlflow shows the run that recorded it."
    )
)
def predict(
    input: Annotated[str, typer.Argument(help="File, folder or pattern of CSV or Parquet, or a database with QUERY.")],
    output: Annotated[
        str, typer.Argument(help="File; folder, which gets a file for each input; or database with TABLE.")
    ],
    version: Annotated[str, typer.Option(help="Number or alias of the version.")] = "champion",
    master: Annotated[str, typer.Option(help="Score on this master of Spark, as ENGINE=spark does.")] = "",
) -> None:
    """Score rows: predictions beside the input columns; rows that break the contract go to <OUTPUT's name>.rejects.csv.

    Settings: MAX_REJECTS, RESUME, STRICT; QUERY, TABLE and BATCH_JOB for databases; ENGINE=spark. See docs/batch.md.
    """
    with uncollected():
        from . import predict

    with terminable():
        predict.run(_settings(), input, output, version, master)


@app.command(
    epilog=_guide(
        "make backfill INPUT=rows/ OUTPUT=scores/ FROM=2026-01-01 TO=2026-01-31",
        "the same command again scores what is missing; make mlflow shows a run for each date.",
    )
)
def backfill(
    input: Annotated[str, typer.Argument(help="Folder that has one folder for each date.")],
    output: Annotated[str, typer.Argument(help="Folder that gets one folder for each date.")],
    first: Annotated[str, typer.Option("--from", help="First date: YYYY-MM-DD, today or yesterday (UTC).")] = "",
    last: Annotated[str, typer.Option("--to", help="Last date.")] = "",
    version: Annotated[str, typer.Option(help="Number or alias of the version.")] = "champion",
    force: Annotated[bool, typer.Option("--force", help="Score anew what another version has scored.")] = False,
) -> None:
    """Score the folders of a range of dates: date=2026-01-31/, 2026-01-31/ or 2026/01/31/; those done are skipped."""
    from . import backfill

    with terminable():
        backfill.run(_settings(), input, output, first, last, version, force=force)


@app.command(
    epilog=_guide(
        "make monitor",
        "open the report that it names; make train, if a rule asks for it and RETRAIN_TRIGGER is not set.",
    )
)
def monitor(
    source: Annotated[str, typer.Argument(help="Folder of the log, or s3://...; LOG_FOLDER if not given.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision as a last line of JSON.")] = False,
    check: Annotated[bool, typer.Option("--check", help="End with exit code 3 if the decision is to retrain.")] = False,
) -> None:
    """Show drift, quality and outliers of the predictions that were logged, and decide on retraining.

    Settings: DAYS, LOG_FOLDER; RETRAIN_TRIGGER and others start a training. See docs/monitoring.md, docs/retraining.md.
    """
    from . import monitor

    with terminable():
        found = monitor.run(_settings(), source, as_json=as_json)
    if check and found.summary.decision == "retrain":
        raise typer.Exit(monitor.RETRAIN)


@app.command(
    epilog=_guide("make build", "the commands that it prints run the image and the Bento; --push pushes the image.")
)
def build(
    push: Annotated[bool, typer.Option("--push", help="Push the image to the registry in IMAGE_REPOSITORY.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build anew the image that is pushed.")] = False,
) -> None:
    """Package the service and the registry's release as a Bento, and as an image by docker, podman or buildah."""
    from . import build

    with terminable():
        build.run(_settings(), push=push, rebuild=rebuild)


@app.command(
    epilog=_guide("make serve", "open the URL that it prints; Ctrl-C ends it. make deploy does it in the background.")
)
def serve(
    pull: Annotated[bool, typer.Option(help="Before serving, pull the release from the registry.")] = True,
    record: Annotated[Path | None, typer.Option(hidden=True)] = None,
    instance: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Serve the current release in the foreground."""
    from . import serve

    serve.run(_settings(), pull=pull, record=record, instance=instance)


@app.command(epilog=_guide("make deploy", "make status shows what runs; make undeploy stops it."))
def deploy() -> None:
    """Pull and verify the registry's release, serve it on TARGET, and print the URL; CANARY=1 adds a canary."""
    from . import deploy

    settings = _settings()
    deploy.run(settings)
    if settings.canary:
        from . import canary

        with terminable():
            canary.after_deploy(settings)


@app.command(epilog=_guide("make sync", "make promote in another terminal; the service follows. Ctrl-C ends sync."))
def sync(
    once: Annotated[bool, typer.Option("--once", help="Sync once and exit.")] = False,
    register: Annotated[
        str, typer.Option(metavar="URL", help="Only register a webhook: MLflow then notifies the sync at this address.")
    ] = "",
) -> None:
    """Keep the store in sync with the registry, and with TARGET=kubernetes the cluster, without a failed request."""
    from . import sync

    if register:
        sync.register(_settings(), register)
    else:
        sync.run(_settings(), once=once)


@app.command(
    epilog=_guide("make stream KAFKA_BROKERS=kafka:9092", "docs/stream.md shows topics and messages; Ctrl-C ends it.")
)
def stream(
    pull: Annotated[bool, typer.Option(help="Before scoring, pull the release from the registry.")] = True,
) -> None:
    """Score the rows of a Kafka topic with the current release, into a topic of predictions."""
    from . import stream

    stream.run(_settings(), pull=pull)


@app.command(epilog=_guide("make plan", "make deploy does it."))
def plan(
    check: Annotated[
        bool, typer.Option("--check", help="End with exit code 3 if deploy would change something.")
    ] = False,
) -> None:
    """Show what deploy would change, and change nothing."""
    from . import deploy

    if deploy.plan(_settings()) and check:
        raise typer.Exit(3)


@app.command(epilog=_guide("make status", "make deploy brings the service in sync with the registry."))
def status() -> None:
    """Show what is deployed, and whether it is in sync with the registry."""
    from . import deploy

    deploy.status(_settings())


@app.command(epilog=_guide("make undeploy", "make deploy starts it again."))
def undeploy() -> None:
    """Stop the deployed service; versions and registry stay as they are."""
    from . import deploy

    deploy.undeploy(_settings())


@app.command(epilog=_guide("make login", "make build ARGS=--push pushes the image there."))
def login() -> None:
    """Log in to the image registry of IMAGE_REPOSITORY, as REGISTRY_USERNAME with REGISTRY_PASSWORD."""
    from . import container_image

    container_image.login(_settings())


app.registered_commands += monitoring.registered_commands
app.registered_commands += upkeep.registered_commands


def main() -> None:
    """Run a command; a `UserError` is printed without a traceback, and the exit code is 1."""
    _run(app)


if __name__ == "__main__":
    main()
