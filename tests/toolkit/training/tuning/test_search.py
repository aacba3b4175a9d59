"""A search: the same trials however often it is interrupted."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.training.gates import parse
from titanic_survival.toolkit.training.tuning import plots, search
from titanic_survival.toolkit.training.tuning.objective import Objective, objective
from titanic_survival.toolkit.training.tuning.parameters import Parameters, plain, read, write
from titanic_survival.toolkit.training.tuning.search import Limits, Trial
from titanic_survival.toolkit.training.tuning.validation import OutOfTimeError, TrialError


def space(trial: Any) -> dict[str, Any]:
    return {"x": trial.suggest_float("x", 0.01, 10, log=True), "kind": trial.suggest_categorical("kind", ["a", "b"])}


def measure(number: int, arguments: dict[str, Any]) -> float:
    if arguments["x"] > 5:
        raise TrialError("x is too large")
    return -((arguments["x"] - 1) ** 2) - (arguments["kind"] == "b")


def run(
    folder: Path, trials: int, measure: Callable[[int, dict[str, Any]], float] = measure, seconds: float = 600
) -> list[Trial]:
    with search.opened(folder, "name", maximize=True) as found:
        found.run(space, measure, Limits(trials, time.monotonic() + seconds), lambda trial: None)
        return found.trials


def without_seconds(trials: list[Trial]) -> list[Trial]:
    return [trial._replace(seconds=0) for trial in trials]


def test_interrupted_search_makes_the_trials_of_one_in_one_piece(tmp_path: Path) -> None:
    def killed(number: int, arguments: dict[str, Any]) -> float:
        if number in (4, 14):
            raise KeyboardInterrupt
        return measure(number, arguments)

    whole = run(tmp_path / "whole", 20)
    folder = tmp_path / "pieces"
    with pytest.raises(KeyboardInterrupt):
        run(folder, 20, killed)
    # What a process leaves that is killed while it writes.
    [journal] = folder.glob("*.journal")
    with journal.open("a") as file:
        file.write('{"op_code": 5, "wor')
    journal.with_name(f"{journal.name}.lock").symlink_to(journal)
    assert len(run(folder, 12)) == 12
    with pytest.raises(KeyboardInterrupt):
        run(folder, 20, killed)
    assert without_seconds(run(folder, 20)) == without_seconds(whole)
    assert {trial.error for trial in whole} == {"", "x is too large"}
    assert len({trial.arguments["x"] for trial in whole}) == 20


def test_search_ends_with_its_time_and_repeats_what_was_begun(tmp_path: Path) -> None:
    def slow(number: int, arguments: dict[str, Any]) -> float:
        if number == 3:
            raise OutOfTimeError
        return measure(number, arguments)

    assert len(run(tmp_path, 20, slow)) == 2
    # One trial at least, or there would be nothing to keep.
    assert len(run(tmp_path / "no time", 20, seconds=0)) == 1
    assert len(run(tmp_path, 20, seconds=0)) == 2


def test_second_search_at_the_same_time_is_told_so(tmp_path: Path) -> None:
    with search.opened(tmp_path, "name", maximize=True), pytest.raises(UserError, match="Another make tune"):
        run(tmp_path, 1)
    assert len(run(tmp_path, 1)) == 1


def test_search_of_which_every_trial_fails_ends_with_the_cure(tmp_path: Path) -> None:
    def fail(number: int, arguments: dict[str, Any]) -> float:
        raise TrialError("ValueError: no")

    with pytest.raises(UserError, match=r"All 10 trials failed, the last one by: ValueError: no\. Correct build\(\)"):
        run(tmp_path, 50, fail)


def test_journal_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "name.journal").write_text("no journal\nat all\n")
    with pytest.raises(UserError, match=r"name\.journal cannot be read"):
        run(tmp_path, 1)


def test_best_of_a_minimized_metric_is_the_smallest(tmp_path: Path) -> None:
    with search.opened(tmp_path, "name", maximize=False) as found:
        found.run(space, lambda *given: -measure(given[0], given[1]), Limits(12, time.monotonic() + 60), lambda _: None)
        values = [trial.value for trial in found.trials if trial.value is not None]
        assert found.best is not None
        assert found.best.value == min(values)
        assert set(found.importance()) == {"x", "kind"}
        assert found.logarithmic == {"x"}


def test_plots_are_drawn_of_failed_and_conditional_trials(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    trials = [
        Trial(i, {"x": 10.0 ** random.integers(-3, 3), "kind": f"a long name of kind {i % 3}", "deep": i % 2 == 0}
              | ({"only sometimes": i} if i % 2 else {}), {}, None if i == 3 else -float(i == 7) * 1e9 + i, "", 0)
        for i in range(1, 20)
    ]  # fmt: skip
    found = plots.Plotted(trials, Objective("r2", True), 5.0, {"x": 0.9, "kind": 0.1}, {"x"})
    plots.draw(tmp_path, found)
    assert {path.stem for path in tmp_path.iterdir()} == {"history", "importance", "parallel_coordinates"}
    assert plt.get_fignums() == []
    for path in tmp_path.iterdir():
        assert plt.imread(path).std() > 0.05


@pytest.mark.parametrize("trials", [[], [Trial(1, {"x": 1}, {"x": 1}, 0.5, "", 0)]])
def test_plots_of_few_trials_are_drawn(trials: list[Trial], tmp_path: Path) -> None:
    plots.draw(tmp_path, plots.Plotted(trials, Objective("r2", False), 0.5, {}, set()))
    assert {path.stem for path in tmp_path.iterdir()} == ({"history"} if trials else set())


def test_objective_is_that_of_the_first_gate_or_of_tune() -> None:
    gates = parse({"accuracy/sex/female": {"at_least": 0.6}, "log_loss": {"at_most": 1}, "f1": {"at_least": 0.6}})
    assert objective(None, gates) == Objective("log_loss", False)
    assert objective({"maximize": "f1"}, gates) == Objective("f1", True)
    for wanted in ("f1", {"maximize": 1}, {"maximise": "f1"}):
        with pytest.raises(UserError, match=r"TUNE is .* For example"):
            objective(wanted, gates)
    with pytest.raises(UserError, match="neither TUNE nor a gate"):
        objective(None, {})


def test_parameters_are_kept_exactly(tmp_path: Path) -> None:
    found = Parameters(parameters=plain({"x": np.float64(0.1 + 0.2), "n": np.int64(3), "units": [3, 4], "no": None}))
    write(tmp_path / "parameters.json", found)
    again = read(tmp_path / "parameters.json")
    assert again is not None
    assert again.parameters == {"x": 0.1 + 0.2, "n": 3, "units": [3, 4], "no": None}
    assert again.note == "set in model/parameters.json"
    assert read(tmp_path / "none.json") is None


@pytest.mark.parametrize("content", ["", "{", '{"x": 1}', '{"parameters": [1]}'])
def test_file_of_parameters_that_cannot_be_read_is_named_with_the_cure(content: str, tmp_path: Path) -> None:
    (tmp_path / "parameters.json").write_text(content)
    with pytest.raises(UserError, match=r"parameters\.json cannot be read: .* delete it"):
        read(tmp_path / "parameters.json")


@pytest.mark.parametrize("returned", [None, {}, 7, {"model": object()}])
def test_search_space_that_returns_no_plain_values_is_named(returned: Any) -> None:
    with pytest.raises(UserError, match=r"search_space\(trial\) returned"):
        plain(returned)
