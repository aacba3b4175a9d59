"""The commands that watch what a model predicts."""

from __future__ import annotations

from typing import Annotated

import typer

from ..toolkit.common.termination import terminable
from . import guide as _guide
from . import settings as _settings

monitoring = typer.Typer()


@monitoring.command(
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
    from .. import monitor

    with terminable():
        found = monitor.run(_settings(), source, as_json=as_json)
    if check and found.summary.decision == "retrain":
        raise typer.Exit(monitor.RETRAIN)


@monitoring.command(epilog=_guide("make feedback INPUT=labels.csv", "make monitor shows the quality by these labels."))
def feedback(
    input: Annotated[str, typer.Argument(help="File, folder or pattern of CSV or Parquet, local or s3://.")],
    key: Annotated[str, typer.Option(help="Field of the rows that the labels refer to, or key for X-Key.")] = "",
    log: Annotated[str, typer.Option(help="Folder of the logs, or s3://...; LOG_FOLDER if not given.")] = "",
) -> None:
    """Take labels that arrive late: by the column id of predictions, or by a key of the rows in the prediction log.

    A label that was sent before counts once. Rows that are rejected go to <INPUT's name>.rejects.csv beside the log.
    Settings: SERVICE_URL sends the labels to a service, which counts them too; MAX_REJECTS. See docs/monitoring.md.
    """
    from .. import feedback

    with terminable():
        feedback.run(_settings(), input, key, log)
