"""The commands that watch a model: its labels, and what they show; part of the command line."""

# Each command imports its module when it runs: `--help` must not wait for MLflow.
from __future__ import annotations

from typing import Annotated

import typer

from ..toolkit.common.termination import terminable
from . import guide as _guide
from . import settings as _settings

monitoring = typer.Typer()


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
