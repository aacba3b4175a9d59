"""Training: what the registry holds afterwards, and what stops it before."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.svm import SVC
from titanic_survival import config, train
from titanic_survival.model import data, pipeline, quality
from titanic_survival.shared import training_data
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.json_rows import RowParser
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.registry import identity
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.training import evaluation
from titanic_survival.toolkit.training.export.onnx_export import OnnxExport
from titanic_survival.toolkit.training.importance import Importance
from titanic_survival.toolkit.version import artifact

IMPOSSIBLE = {"log_loss": {"at_most": -1}}


def registry_of(settings: config.Settings) -> Registry:
    return connect(settings.mlflow_tracking_uri, settings.model_name)


def pulled(settings: config.Settings, number: int) -> artifact.Artifact:
    registry, store = registry_of(settings), Store(settings.store)
    store.pull(registry.get(str(number)), registry.download)
    return store.load(number)


@pytest.fixture(scope="module")
def again(copied: Callable[[Path], config.Settings], tmp_path_factory: pytest.TempPathFactory) -> config.Settings:
    """Return the settings of a project that was trained twice, the second time where another person approves."""
    settings = copied(tmp_path_factory.mktemp("again")).model_copy(update={"four_eyes": True})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "GATES", {})
        assert train.run(settings) == 2
    return settings


def test_version_is_registered_as_challenger_and_champion_when_its_gates_pass(trained: config.Settings) -> None:
    version = registry_of(trained).get("1")
    gates = {True: ("challenger", "champion"), False: ("challenger",)}
    assert version.aliases == gates[version.tags["gates"] == "passed"]
    assert version.digest == artifact.digest(Store(trained.store).path(1))


def test_registry_keeps_who_trained_a_version_and_the_results_of_its_gates(trained: config.Settings) -> None:
    tags, details = registry_of(trained).get("1").tags, Store(trained.store).load(1).details
    assert tags["trained_by"] == details["by"] == identity.who()
    results = json.loads(tags["gates.results"])["gates"]
    assert [(one["metric"], one["passed"]) for one in results] == [
        (gate["metric"], not gate["reason"]) for gate in details["gates"]
    ]
    assert results[0]["value"] == pytest.approx(details["gates"][0]["value"], rel=1e-5)


def test_run_records_metrics_parameters_data_plots_and_the_version(trained: config.Settings, version: Any) -> None:
    registry = registry_of(trained)
    run = mlflow.MlflowClient().get_run(registry.get("1").run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == pytest.approx(version.details["metrics"])
    assert int(run.data.params["training_rows"]) == version.details["data"]["training_rows"] > 0
    assert run.inputs.dataset_inputs[0].dataset.digest == version.details["data"]["digest"]
    files = [mlflow.MlflowClient().list_artifacts(run.info.run_id, folder) for folder in ("plots", "version")]
    names = {file.path for folder in files for file in folder}
    assert {"plots/importance.png", "version/model.pkl", "version/card.md"} <= names


def test_card_names_metrics_and_every_field(version: Any, contract: Contract) -> None:
    card = (version.folder / "card.md").read_text(encoding="utf-8")
    names = [name for name in version.details["metrics"] if "/" not in name]
    names += [column.name for column in (*contract.row, *contract.prediction)]
    assert [name for name in names if f"| {name} |" not in card] == []


def test_details_keep_the_keys_that_services_and_cards_read(version: Any) -> None:
    origin = ["project", "description", "author", "trained", "by", "commit", "model_name", "run_id", "reason"]
    results = ["metrics", "groups", "importance", "importance_rows", "gates", "champion", "champion_metrics"]
    results += ["data", "estimator"]
    serving = ["runtime", "runtime_note", "runtime_details", "labels", "threshold", "threshold_note"]
    serving += ["drift", "outliers", "parameters", "parameters_note"]
    assert list(version.details) == origin + results + serving
    assert list(version.details["data"]) == ["digest", "training_rows", "holdout_rows"]
    assert [list(gate) for gate in version.details["gates"]] == [
        ["metric", "bound", "value", "champion", "reason", "comparison"] for _ in quality.GATES
    ]


def test_training_twice_gives_the_same_metrics(trained: config.Settings, again: config.Settings) -> None:
    first, second = pulled(again, 1), pulled(again, 2)
    assert second.details["metrics"] == first.details["metrics"]
    assert second.details["importance"] == first.details["importance"]


def test_training_twice_gives_the_same_predictions(again: config.Settings, rows: list[dict[str, Any]]) -> None:
    first, second = pulled(again, 1), pulled(again, 2)
    _, columns = RowParser(first.contract).parse(json.dumps(rows).encode())
    was, now = first.runtime.score(columns), second.runtime.score(columns)
    for name in was:
        np.testing.assert_array_equal(was[name], now[name])


def test_training_in_an_image_records_its_libraries_and_its_commit(
    project: config.Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # No git: a folder that is none of a repository stands for the one of the image.
    locks = tmp_path / "requirements"
    locks.mkdir()
    (locks / "train.lock").write_text("numpy==2\n")
    monkeypatch.setattr(train.config, "ROOT", tmp_path)
    monkeypatch.setenv("IMAGE_ENVIRONMENT", "train")
    monkeypatch.setenv("IMAGE_REVISION", "1f0c9a2b7d11")
    number = train.run(project)
    version = pulled(project, number)
    assert (version.folder / artifact.LOCK).read_text() == "numpy==2\n"
    assert version.details["commit"] == "1f0c9a2b7d11"


def test_required_approval_stops_at_challenger(again: config.Settings) -> None:
    registry = registry_of(again)
    assert registry.get("2").tags["gates"] == "passed"
    assert registry.get("2").aliases == ("challenger",)


def test_failed_gate_stops_at_challenger_and_is_recorded(
    project: config.Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quality, "GATES", IMPOSSIBLE)
    # Plots and importance take the most time, and are tested elsewhere.
    monkeypatch.setattr(train.plots, "draw", lambda *_: None)
    monkeypatch.setattr(evaluation, "importance", lambda *_: Importance({}, 0))
    assert train.run(project) == 2
    registry = registry_of(project)
    assert registry.get("2").aliases == ("challenger",)
    assert registry.get("2").tags["gates"] == "failed"
    assert "log_loss is" in registry.get("2").tags["gates.failed"]
    assert "Version 2 stays challenger" in capsys.readouterr().out


def test_why_python_serves_is_printed_recorded_and_in_the_card(
    project: config.Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ("hold-out row 3 differs", "What usually helps: patience")
    monkeypatch.setattr(train, "export", lambda *_: OnnxExport(None, "parity check failed", lines))
    monkeypatch.setattr(train.plots, "draw", lambda *_: None)
    monkeypatch.setattr(evaluation, "importance", lambda *_: Importance({}, 0))
    number = train.run(project)
    printed = capsys.readouterr().out
    assert "Python serves: parity check failed\n  - hold-out row 3 differs\n  - What usually helps: patience" in printed
    run = mlflow.MlflowClient().get_run(registry_of(project).get(str(number)).run_id)
    assert run.data.tags["runtime_note"].splitlines() == ["parity check failed", *lines]
    version = pulled(project, number)
    assert version.details["runtime_details"] == list(lines)
    assert "- hold-out row 3 differs\n- What usually helps: patience" in (version.folder / "card.md").read_text()


def test_onnx_options_of_the_model_reach_the_converter(
    project: config.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(pipeline, "onnx_options", lambda: {"target_opset": 15}, raising=False)
    monkeypatch.setattr(train, "export", lambda *arguments: given.append(arguments[-1]) or OnnxExport(None, ""))
    monkeypatch.setattr(train.plots, "draw", lambda *_: None)
    monkeypatch.setattr(evaluation, "importance", lambda *_: Importance({}, 0))
    train.run(project)
    assert given == [{"target_opset": 15}]


def fail(*_: Any) -> Any:
    raise ValueError("the cable was cut")


@pytest.mark.parametrize(
    ("module", "name", "value", "said"),
    [
        (data, "load", fail, r"ValueError: the cable was cut"),
        (data, "load", lambda: [], r"model/data\.py returned list"),
        (data, "load", pd.DataFrame, "no rows"),
        (data, "load", lambda: pd.DataFrame({"unknown": [1]}), "the column is missing"),
        (data, "split", lambda rows: (rows, rows[:200]), "200 of 200 hold-out rows .* are training rows too"),
        (pipeline, "build", lambda: 7, r"build\(\) returned int, which has no predict\(\)"),
        (pipeline, "build", fail, r"ValueError: the cable was cut"),
        (pipeline, "build", lambda: SVC, r"the class SVC; return an object of it: SVC\(\)"),
        (pipeline, "onnx_options", lambda: {"opset": 15}, r"onnx_options\(\) returned \{'opset': 15\}; it must be"),
        (quality, "GATES", {"m": 1}, r"model/quality\.py"),
        (quality, "GATES", {"acuracy": {"at_least": 0}}, "metrics.* returns no 'acuracy', but accuracy"),
        (quality, "SLICES", "sex", r"SLICES = \('sex',\)"),
    ],
)
def test_mistake_in_model_is_named_and_registers_nothing(
    project: config.Settings, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, value: Any, said: str
) -> None:
    monkeypatch.setattr(module, name, value, raising=False)
    with pytest.raises(UserError, match=said):
        train.run(project)
    assert [version.number for version in registry_of(project).versions()] == [1]


def test_rows_that_break_the_contract_are_counted(project: config.Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    table = data.load()
    label = training_data.load(training_data.contract()).contract.label.name
    monkeypatch.setattr(data, "load", lambda: table.assign(**{label: None}))
    with pytest.raises(UserError, match=f"{label}: {len(table)} of {len(table)} rows"):
        train.run(project)


def test_unknown_columns_are_an_error_if_strict(
    project: config.Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = data.load()
    monkeypatch.setattr(data, "load", lambda: table.assign(surplus=1))
    training_data.load(training_data.contract())
    assert "'surplus'" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"STRICT=1: .*'surplus'"):
        train.run(project.model_copy(update={"strict": True}))


def test_sample_split_takes_vectors() -> None:
    table = data.load()
    training, holdout = data.split(table.assign(pixels=[np.array([number, 0.5]) for number in range(len(table))]))
    assert 0.1 < len(holdout) / len(table) < 0.3
    assert len(training) + len(holdout) == len(table)
