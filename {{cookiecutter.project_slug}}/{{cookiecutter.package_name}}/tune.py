"""Tune: search for parameters of `build()` by cross-validation on the training rows, and keep the best ones."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from . import config
from .model import data, pipeline, quality
from .shared import estimators, training_data
from .toolkit.common import console, progress
from .toolkit.common.errors import UserError, attribute_errors_to
from .toolkit.common.numbers import short
from .toolkit.common.termination import Terminated
from .toolkit.registry.client import Registry, connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.registry.runs import Run, start_run
from .toolkit.training import checks, labels, memory
from .toolkit.training.dataset import Dataset
from .toolkit.training.measurement import Criteria
from .toolkit.training.tuning import folds, plots, search
from .toolkit.training.tuning.folds import Folds
from .toolkit.training.tuning.objective import Objective, objective
from .toolkit.training.tuning.parameters import Parameters, text
from .toolkit.training.tuning.search import Limits, Search, Space, Trial
from .toolkit.training.tuning.validation import Scores, TrialError, cross_validate

#: Where searches are kept until they are deleted.
FOLDER = config.ROOT / "build" / "tune"
#: What a search notes: its run, the mean of the parameters in use when it began, and these parameters.
RUN, IN_USE, BEFORE = "run", "in_use", "parameters_in_use"
EXAMPLE = 'def search_space(trial): return {"max_depth": trial.suggest_int("max_depth", 2, 10)}'


@dataclass(frozen=True)
class Subject:
    """What parameters are tried on: rows, folds, metrics and the one that counts."""

    rows: Dataset
    folds: Folds
    criteria: Criteria
    objective: Objective

    def scores(self, parameters: dict[str, Any], in_time: Callable[[], bool] = lambda: True) -> Scores:
        """Return how good parameters of `build()` are, by cross-validation."""
        build = partial(estimators.build, Parameters(parameters=parameters))
        return cross_validate(build, self.rows, self.folds.folds, self.criteria, self.objective.metric, in_time)

    @property
    def name(self) -> str:
        """The name of the search: another one after a change of the rows or of the model's code."""
        digest = hashlib.sha256(f"{self.rows.source.digest} {self.objective} {self.folds.text}".encode())
        for path in sorted(training_data.MODEL.rglob("*.py")):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]


def run(settings: config.Settings) -> bool:
    """Search until TRIALS or TUNE_MINUTES is reached, and keep the best parameters in `model/parameters.json`.

    Returns whether there is something to train: False if the parameters in use stay.
    """
    space, criteria = _space(), training_data.criteria()
    wanted = objective(getattr(quality, "TUNE", None), criteria.gates)
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    subject = _subject(criteria, wanted, strict=settings.strict)
    with (
        search.opened(FOLDER, subject.name, maximize=wanted.maximize) as current,
        mlflow_errors(settings.mlflow_tracking_uri),
        _parent(registry, current, subject) as tracking,
    ):
        _measure_in_use(current, subject)
        _search(registry, current, subject, space, settings)
        found = _record(tracking, current, subject)
    if found:
        kept = estimators.kept()
        if kept is None or (kept.parameters, kept.run) != (found.parameters, found.run):
            estimators.keep(found)
        console.say("Kept in model/parameters.json, which make train uses: commit it, or take it back with git.\n")
    else:
        console.say("No trial is better than the parameters in use, which stay: there is nothing to train.\n")
    return found is not None


def _space() -> Space:
    """Return `search_space` of `model/pipeline.py`, after it was called once; `UserError` if it is missing or wrong."""
    space = getattr(pipeline, "search_space", None)
    if not callable(space):
        raise UserError(
            f"model/pipeline.py has no search_space(trial), which names what to try. For example: {EXAMPLE}"
        )

    def suggested(trial: Any) -> Any:
        with attribute_errors_to(training_data.MODEL, "pipeline.py"):
            return space(trial)

    estimators.check_names(search.try_out(suggested), "search_space() of model/pipeline.py returns")
    return suggested


def _subject(criteria: Criteria, wanted: Objective, *, strict: bool) -> Subject:
    """Load the rows and cut the training rows into folds; the hold-out rows are dropped then."""
    estimator = estimators.build(estimators.kept())
    rows = training_data.load(training_data.contract(), strict=strict, whole=True)
    with console.step("folds") as step, attribute_errors_to(training_data.MODEL, "data.py"):
        cut = folds.make(rows, getattr(data, "folds", None))
        step.detail = cut.text
    rows = replace(rows, holdout=rows.training)
    labels.check_fit(estimator, rows.contract, rows.training.table)
    checks.check_criteria(criteria, rows, training_data.MODEL)
    checks.check_probabilities(estimator, rows)
    memory.release()
    return Subject(estimators.with_features(rows), cut, criteria, wanted)


@contextmanager
def _parent(registry: Registry, current: Search, subject: Subject) -> Iterator[Run]:
    """Start the run of the search, or go on with it."""
    registry.create()
    before = str(current.notes().get(RUN, ""))
    with start_run(registry, "tune", run_id=before) as tracking:
        if tracking.id != before:
            current.note(RUN, tracking.id)
            rows, metric = subject.rows, subject.objective.metric
            tracking.log_dataset(registry.name, rows.source.digest, rows.source.rows, rows.contract)
            tracking.log_parameters({"metric": metric, "folds": subject.folds.text, "seed": search.SEED})
            tracking.set_tags({"data_digest": rows.source.digest})
        elif trials := current.trials:
            console.say(f"The search goes on after {_count(trials)}. A change in model/ or in the data begins another.")
        try:
            yield tracking
        except (KeyboardInterrupt, Terminated):
            console.say(f"Stopped: {_count(current.trials)} done, which are kept. make tune goes on.", "yellow")
            raise


def _count(trials: list[Trial]) -> str:
    return f"{len(trials)} trial{'' if len(trials) == 1 else 's'}"


def _measure_in_use(current: Search, subject: Subject) -> None:
    """Measure the parameters in use when the search begins: what a trial must surpass."""
    if IN_USE in current.notes():
        return
    kept = estimators.kept()
    given = kept.parameters if kept else {}
    with console.step("in use") as step:
        try:
            mean = subject.scores(given).mean
        except TrialError as error:
            raise UserError(f"The model with the parameters in use fails in cross-validation: {error}") from error
        step.detail = f"{subject.objective.metric} {mean:.4g} with {text(given) or 'the values of build() itself'}"
    current.note(BEFORE, given)
    current.note(IN_USE, mean)


def _search(registry: Registry, current: Search, subject: Subject, space: Space, settings: config.Settings) -> None:
    """Make the trials, each in a run of its own."""
    start, metric = time.monotonic(), subject.objective.metric
    limits = Limits(settings.trials, start + 60 * settings.tune_minutes)

    def measure(number: int, arguments: dict[str, Any]) -> float:
        with start_run(registry, "trial", f"trial {number}") as run:
            run.log_parameters(arguments)
            try:
                scores = subject.scores(arguments, lambda: current.best is None or time.monotonic() < limits.deadline)
            except TrialError as error:
                run.set_tags({"error": str(error)})
                raise
            run.log_metrics(
                scores.means | {f"{metric}_lowest": min(scores.folds), f"{metric}_highest": max(scores.folds)}
            )
            return scores.mean

    with progress.step("tune", "trials") as step:

        def finished(trial: Trial) -> None:
            if trial.value is None:
                console.warn(f"Trial {trial.number} failed and is skipped: {trial.error} ({text(trial.arguments)})")
            spent = (time.monotonic() - start) / (60 * settings.tune_minutes)
            best = current.best
            note = f"best {metric} {best.value:.4g}" if best and best.value is not None else ""
            step.update(1, min(1.0, max(spent, trial.number / settings.trials)), note)

        current.run(space, measure, limits, finished)
        step.detail = _summary(current.trials, settings)


def _summary(trials: list[Trial], settings: config.Settings) -> str:
    """Return how many trials there are, and what would add more."""
    failed = sum(trial.value is None for trial in trials)
    over = len(trials) < settings.trials
    limit = f"TUNE_MINUTES={settings.tune_minutes:g} are over" if over else f"TRIALS={settings.trials}"
    return f"{_count(trials)}{f', {failed} failed' if failed else ''} ({limit})"


def _record(tracking: Run, current: Search, subject: Subject) -> Parameters | None:
    """Record the search and show its winner; return the parameters to keep, None if those in use are as good."""
    noted, best, metric = current.notes(), current.best, subject.objective.metric
    in_use, before = float(noted[IN_USE]), dict(noted[BEFORE])
    assert best is not None and best.value is not None  # a search without success has raised an error
    drawn = plots.Plotted(current.trials, subject.objective, in_use, current.importance(), current.logarithmic)
    with tempfile.TemporaryDirectory() as scratch:
        plots.draw(Path(scratch), drawn)
        tracking.log_files(Path(scratch), "plots")
    tracking.log_metrics({metric: best.value, f"{metric}_in_use": in_use, "trials": len(current.trials)})
    names = list(dict.fromkeys([*best.arguments, *before]))
    # The values of build() itself are in its signature; what is shown of them is enough to compare.
    own = estimators.defaults()
    rows = [[name, short(before.get(name, own.get(name, ""))), short(best.arguments.get(name, ""))] for name in names]
    console.table(["parameter", "in use", f"trial {best.number}"], [*rows, [metric, short(in_use), short(best.value)]])
    console.say(f"\nMeans of {subject.folds.text}. Run: {tracking.address}")
    if not subject.objective.is_better(best.value, in_use):
        return None
    tracking.set_tags({"best": text(best.arguments)})
    return Parameters(
        parameters=best.arguments,
        metric=metric,
        value=best.value,
        folds=subject.folds.text,
        trials=len(current.trials),
        found=datetime.now(UTC).isoformat(timespec="seconds"),
        run=tracking.id,
    )
