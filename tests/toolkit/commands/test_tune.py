"""Tuning: what the file of parameters, the runs and the next version have afterwards."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from titanic_survival import config, train, tune
from titanic_survival.model import data, pipeline, quality
from titanic_survival.shared import estimators
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.training import evaluation
from titanic_survival.toolkit.training.importance import Importance
from titanic_survival.toolkit.training.tuning import validation


def build(depth: int = 1, leaf: int = 1) -> Any:
    """Return a model that is fitted in milliseconds."""
    if depth == 2:
        raise ValueError("two is no depth")
    numbers = make_column_transformer(("passthrough", make_column_selector(dtype_include="number")))
    return make_pipeline(numbers, DecisionTreeClassifier(max_depth=depth, min_samples_leaf=leaf, random_state=0))


def search_space(trial: Any) -> dict[str, Any]:
    return {"depth": trial.suggest_int("depth", 1, 5), "leaf": trial.suggest_int("leaf", 1, 50, log=True)}


@pytest.fixture
def tuned(project: config.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> config.Settings:
    """Return the settings of a project with a quick model, a place of its own for what a search keeps, and 8 trials."""
    monkeypatch.setattr(estimators, "FILE", tmp_path / "parameters.json")
    monkeypatch.setattr(tune, "FOLDER", tmp_path / "tune")
    monkeypatch.setattr(pipeline, "build", build)
    monkeypatch.setattr(pipeline, "search_space", search_space)
    monkeypatch.setattr(quality, "GATES", {"accuracy": {"at_least": 0}})
    # Plots of a version and importance take the most time, and are tested elsewhere.
    monkeypatch.setattr(train.plots, "draw", lambda *_: None)
    monkeypatch.setattr(evaluation, "importance", lambda *_: Importance({}, 0))
    return project.model_copy(update={"trials": 8})


def runs(settings: config.Settings) -> tuple[list[Any], dict[str, Any]]:
    """Return the runs of searches, newest first, and those of trials by name, of a trial the newest."""
    client = connect(settings.mlflow_tracking_uri, settings.model_name).client
    [experiment] = [one.experiment_id for one in client.search_experiments() if one.name == settings.model_name]
    found = client.search_runs([experiment], order_by=["attributes.start_time ASC"])
    searches = [run for run in found if run.data.tags.get("kind") == "tune"]
    return searches, {run.info.run_name: run for run in found if "mlflow.parentRunId" in run.data.tags}


def test_winner_is_kept_recorded_and_trained(tuned: config.Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune.run(tuned)
    kept = estimators.kept()
    assert kept is not None
    [search], trials = runs(tuned)
    assert list(trials) == [f"trial {number}" for number in range(1, 9)]
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {search.info.run_id} == {kept.run}
    values = {name: run.data.metrics["accuracy"] for name, run in trials.items() if run.info.status == "FINISHED"}
    best = max(values, key=lambda name: values[name])
    assert kept.value == values[best] == search.data.metrics["accuracy"] > search.data.metrics["accuracy_in_use"]
    assert {name: str(value) for name, value in kept.parameters.items()} == trials[best].data.params
    plots = {file.path for file in mlflow.MlflowClient().list_artifacts(search.info.run_id, "plots")}
    assert plots == {"plots/history.png", "plots/importance.png", "plots/parallel_coordinates.png"}

    failed = {name: run for name, run in trials.items() if run.info.status == "FAILED"}
    assert {run.data.params["depth"] for run in failed.values()} == {"2"}
    printed = capsys.readouterr().out
    for name, run in failed.items():
        error = run.data.tags["error"]
        assert error == "model/pipeline.py: ValueError: two is no depth"
        assert f"{name.capitalize()} failed and is skipped: {error} (depth=2" in printed

    number = train.run(tuned)
    assert f"build() gets the parameters of model/parameters.json: {kept.text}" in capsys.readouterr().out
    registry, store = connect(tuned.mlflow_tracking_uri, tuned.model_name), Store(tuned.store)
    version = registry.get(str(number))
    run = mlflow.MlflowClient().get_run(version.run_id)
    assert run.data.params["build/depth"] == run.data.params["decisiontreeclassifier__max_depth"]
    assert run.data.params["build/depth"] == str(kept.parameters["depth"])
    assert run.data.tags["tuning_run"] == search.info.run_id
    store.pull(version, registry.download)
    details = store.load(number).details
    assert (details["parameters"], details["parameters_note"]) == (kept.parameters, kept.note)
    assert f"Parameters: {kept.text} ({kept.note})." in (store.path(number) / "card.md").read_text()


def test_interrupted_search_goes_on_in_its_run(
    tuned: config.Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured, cross_validate = [], tune.cross_validate

    def interrupted(*given: Any) -> validation.Scores:
        measured.append(given)
        if len(measured) == 4:
            raise KeyboardInterrupt
        return cross_validate(*given)

    monkeypatch.setattr(tune, "cross_validate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune.run(tuned)
    [search], trials = runs(tuned)
    assert search.info.status == trials["trial 3"].info.status == "KILLED"
    # As if it had been killed without a chance to say so.
    mlflow.MlflowClient().update_run(trials["trial 3"].info.run_id, "RUNNING")
    begun = trials["trial 3"].data.params
    assert "Stopped: 2 trials done, which are kept. make tune goes on." in capsys.readouterr().out
    tune.run(tuned)
    assert "The search goes on after 2 trials." in capsys.readouterr().out
    assert len(measured) == 4 + 6
    [again], after = runs(tuned)
    assert (again.info.run_id, again.info.status) == (search.info.run_id, "FINISHED")
    assert mlflow.MlflowClient().get_run(trials["trial 3"].info.run_id).info.status == "KILLED"
    assert after["trial 3"].info.run_id != trials["trial 3"].info.run_id
    assert after["trial 3"].data.params == begun
    # A search that is complete only says what it has found.
    estimators.FILE.unlink()
    tune.run(tuned)
    assert len(measured) == 10
    assert estimators.kept() is not None


def test_hold_out_rows_take_no_part(tuned: config.Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = tuned.model_copy(update={"trials": 3})

    def values() -> list[float | None]:
        _, trials = runs(tuned)
        return [run.data.metrics.get("accuracy") for run in trials.values()]

    tune.run(tuned)
    before, split = values(), data.split
    label = next(iter(tune.training_data.contract().prediction)).name

    def flipped(rows: pd.DataFrame) -> Any:
        training, holdout = split(rows)
        return training, holdout.assign(**{label: holdout[label].to_numpy()[::-1]})

    monkeypatch.setattr(data, "split", flipped)
    monkeypatch.setattr(tune, "FOLDER", tuned.store / "another")
    tune.run(tuned)
    assert values() == before
    assert len(runs(tuned)[0]) == 2


def test_parameters_in_use_stay_if_no_trial_is_better(
    tuned: config.Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipeline, "search_space", lambda trial: {"depth": trial.suggest_int("depth", 1, 1)})
    assert not tune.run(tuned.model_copy(update={"trials": 2}))
    assert estimators.kept() is None
    assert "No trial is better than the parameters in use" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "name", "value", "said"),
    [
        (pipeline, "search_space", None, r"has no search_space\(trial\).* For example"),
        (pipeline, "search_space", lambda trial: {"width": 1}, r"'width', which build\(\) .* \(it takes depth, leaf\)"),
        (pipeline, "search_space", lambda trial: 1 / 0, "ZeroDivisionError"),
        (pipeline, "build", lambda depth=2, leaf=1: build(2), "two is no depth"),
        (quality, "TUNE", {"maximize": "acuracy"}, "in use fails in cross-validation: .* returns no finite 'acuracy'"),
    ],
)
def test_mistake_in_model_is_named(
    tuned: config.Settings, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, value: Any, said: str
) -> None:
    monkeypatch.setattr(module, name, value, raising=False)
    with pytest.raises(UserError, match=said):
        tune.run(tuned)


def test_parameters_that_build_does_not_take_are_named(tuned: config.Settings) -> None:
    estimators.FILE.write_text('{"parameters": {"width": 3}}')
    with pytest.raises(UserError, match=r"model/parameters.json has the parameter 'width', which build\(\)"):
        train.run(tuned)
