"""The search: Optuna's sampler proposes parameters, trial after trial; a file keeps what was tried."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ...common.errors import UserError
from ...common.scratch import alone
from .parameters import plain
from .validation import OutOfTimeError, TrialError

SEED = 0
#: After so many trials of which none succeeds, the search ends.
MOST_FAILURES = 10
#: Names of what a trial keeps beside Optuna's parameters: what build() is called with, why it failed, how long it took.
ARGUMENTS, ERROR, SECONDS = "arguments", "error", "seconds"

Space = Callable[[Any], Any]
"""The owner's `search_space`: a trial in, the parameters of `build()` out."""


class Trial(NamedTuple):
    """A finished trial; `value` is None if it failed, and `error` then says why.

    `suggested` is what the sampler chose, by the names in `search_space`; `arguments` is what `build()` got.
    """

    number: int
    suggested: dict[str, Any]
    arguments: dict[str, Any]
    value: float | None
    error: str
    seconds: float


class Limits(NamedTuple):
    """When a search ends: after so many finished trials in all, or at a time of `time.monotonic()`."""

    trials: int
    deadline: float


class Search:
    """A search that goes on where it was interrupted.

    A trial that was interrupted is made again. Each one's seed follows from the number of those finished before it, so
    the trials are the same as those of a search in one piece.
    """

    def __init__(self, study: Study, *, maximize: bool) -> None:
        self._study, self._maximize = study, maximize
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            # Of a process that is gone: this one is alone.
            study.tell(trial.number, state=TrialState.FAIL)

    @property
    def trials(self) -> list[Trial]:
        """The finished trials, in the order in which they began."""
        found = [trial for trial in self._study.get_trials(deepcopy=False) if _is_finished(trial)]
        return [_trial(number, trial) for number, trial in enumerate(found, 1)]

    @property
    def best(self) -> Trial | None:
        """The best trial, the first of several that are; None if none succeeded."""
        complete = [trial for trial in self.trials if trial.value is not None]
        return max(complete, key=lambda t: (t.value or 0.0) * (1 if self._maximize else -1), default=None)

    @property
    def logarithmic(self) -> set[str]:
        """The parameters that are suggested on a logarithmic scale."""
        trials = self._study.get_trials(deepcopy=False)
        return {name for trial in trials for name, kind in trial.distributions.items() if getattr(kind, "log", False)}

    def notes(self) -> dict[str, Any]:
        """Return what was noted of the search."""
        return dict(self._study.user_attrs)

    def note(self, name: str, value: Any) -> None:
        """Note something of the search; the value is one of JSON."""
        self._study.set_user_attr(name, value)

    def run(
        self,
        space: Space,
        measure: Callable[[int, dict[str, Any]], float],
        limits: Limits,
        finished: Callable[[Trial], None],
    ) -> None:
        """Make trials until a limit is reached.

        `measure` gets the trial's number and parameters, and may raise `TrialError` or `OutOfTimeError`. `UserError` if
        no trial succeeds.
        """
        trials = self.trials
        while len(trials) < limits.trials and (time.monotonic() < limits.deadline or not trials):
            self._study.sampler = TPESampler(seed=SEED + len(trials))
            current, start, value = self._study.ask(), time.monotonic(), None
            arguments = plain(space(current))
            current.set_user_attr(ARGUMENTS, arguments)
            try:
                value = measure(len(trials) + 1, arguments)
            except OutOfTimeError:
                self._study.tell(current, state=TrialState.FAIL)
                break
            except TrialError as error:
                current.set_user_attr(ERROR, str(error))
            current.set_user_attr(SECONDS, time.monotonic() - start)
            self._study.tell(current, value, state=TrialState.FAIL if value is None else None)
            trials = self.trials
            finished(trials[-1])
            if len(trials) >= MOST_FAILURES and self.best is None:
                break
        if trials and self.best is None:
            raise UserError(
                f"All {len(trials)} trials failed, the last one by: {trials[-1].error}. Correct build() in "
                "model/pipeline.py, or have search_space(trial) suggest what it can take; a change begins a new search."
            )

    def importance(self) -> dict[str, float]:
        """Return the importance of each suggested parameter, largest first; none of too few trials."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return dict(optuna.importance.get_param_importances(self._study))
        except (RuntimeError, ValueError):  # one trial, or no parameter that all trials have
            return {}


def try_out(space: Space) -> dict[str, Any]:
    """Return what `search_space` returns for a trial that is not kept."""
    _be_quiet()
    return plain(space(optuna.create_study(sampler=TPESampler(seed=SEED)).ask()))


@contextmanager
def opened(folder: Path, name: str, *, maximize: bool) -> Iterator[Search]:
    """Open the search of a name in a folder, which one process at a time may; it is created if there is none."""
    _be_quiet()
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, "Another make tune is searching in this project: wait for it, or end it. Its trials are kept."):
        file = folder / f"{name}.journal"
        _repair(file)
        try:
            study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(file))),
                study_name=name,
                direction="maximize" if maximize else "minimize",
                load_if_exists=True,
            )
        except (ValueError, KeyError, json.JSONDecodeError) as error:
            raise UserError(f"{file} cannot be read ({error}). Delete it; the search then begins anew.") from error
        yield Search(study, maximize=maximize)


def _repair(file: Path) -> None:
    """Remove what a killed process left: Optuna's lock, and a line that was not written to its end."""
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    content = file.read_bytes() if file.exists() else b""
    if content and not content.endswith(b"\n"):
        file.write_bytes(content[: content.rfind(b"\n") + 1])


def _be_quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _is_finished(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE or (trial.state == TrialState.FAIL and ERROR in trial.user_attrs)


def _trial(number: int, trial: FrozenTrial) -> Trial:
    noted = trial.user_attrs
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return Trial(number, dict(trial.params), noted[ARGUMENTS], value, noted.get(ERROR, ""), noted.get(SECONDS, 0.0))
