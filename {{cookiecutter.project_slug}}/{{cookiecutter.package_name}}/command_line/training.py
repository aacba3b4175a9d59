"""The commands that make a version, and compare it with the champion."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ..toolkit.common.termination import terminable
from . import Why
from . import guide as _guide
from . import settings as _settings

training = typer.Typer()


@training.command(epilog=_guide("make train", "make deploy serves the champion; make mlflow shows the run."))
def train(why: Why = "") -> None:
    """Train a version and register it as challenger; it becomes champion if it passes its gates (model/quality.py)."""
    _let_threads_sleep()
    from .. import train

    with terminable():
        train.run(_settings(), why)


@training.command(
    epilog=_guide(
        "make tune TRIALS=100", "make mlflow shows the trials; commit model/parameters.json to keep the best."
    )
)
def tune(why: Why = "") -> None:
    """Search for parameters (search_space in model/pipeline.py), keep the best, and train with them."""
    _let_threads_sleep()
    from .. import train, tune

    settings = _settings()
    with terminable():
        if tune.run(settings):
            train.run(settings, why)


@training.command(epilog=_guide("make report VERSION=3", "make promote VERSION=3 makes the version the champion."))
def report(version: Annotated[str, typer.Argument(help="Number or alias of the version.")] = "challenger") -> None:
    """Compare a version with the champion of its training, in Markdown: gates, metrics, charts; plots in report/."""
    from .. import report

    report.run(_settings(), version)


def _let_threads_sleep() -> None:
    """Have threads of OpenMP sleep while they wait, unless the environment says otherwise; call before it is loaded.

    By default they spin. Where other programs use the cores, a spinning thread takes the time that the one it waits for
    needs: scikit-learn's gradient boosting then takes six to seventy times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
