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
    _shorten_spinning()
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
    _shorten_spinning()
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


def _shorten_spinning() -> None:
    """Have waiting threads of GNU's OpenMP sleep soon, unless the environment says otherwise; call before it is loaded.

    By default they spin for long. Where another program uses the cores, that takes the time which the thread that they
    wait for needs: gradient boosting on 200,000 rows took 7 s beside two busy programs, and takes 2.6 s. Where nothing
    else runs it stays at 0.8 s; sleeping at once (OMP_WAIT_POLICY=PASSIVE) would make 2.7 s of that.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
