"""The commands that score files and streams."""

from __future__ import annotations

from typing import Annotated

import typer

from ..toolkit.common.imports import uncollected
from ..toolkit.common.termination import terminable
from . import guide as _guide
from . import settings as _settings

scoring = typer.Typer()


@scoring.command(
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
        from .. import predict

    with terminable():
        predict.run(_settings(), input, output, version, master)


@scoring.command(
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
    from .. import backfill

    with terminable():
        backfill.run(_settings(), input, output, first, last, version, force=force)


@scoring.command(
    epilog=_guide("make stream KAFKA_BROKERS=kafka:9092", "docs/stream.md shows topics and messages; Ctrl-C ends it.")
)
def stream(
    pull: Annotated[bool, typer.Option(help="Before scoring, pull the release from the registry.")] = True,
) -> None:
    """Score the rows of a Kafka topic with the current release, into a topic of predictions."""
    from .. import stream

    stream.run(_settings(), pull=pull)
