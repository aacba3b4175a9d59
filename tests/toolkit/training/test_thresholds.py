"""The thresholds of trees are known of models that nothing but trees decides on columns as they are."""

import json
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import create_model
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training.export import converters, thresholds
from titanic_survival.toolkit.training.export.converters import Inputs
from titanic_survival.toolkit.version import row_groups
from titanic_survival.toolkit.version.runtime import OnnxRuntime

NUMBERS = {"a": (float, ...), "b": (float, ...), "unused": (float, ...)}
KINDS = {**NUMBERS, "kind": (Literal["x", "y", "z"], ...)}
ROWS = 3000
RANDOM = np.random.default_rng(0)
COLUMNS = {
    **{name: RANDOM.normal(0, 2, ROWS).astype(np.float32) for name in NUMBERS},
    "kind": RANDOM.choice(np.array(["x", "y", "z"], object), ROWS),
}
LABEL = np.floor(COLUMNS["a"]) + (COLUMNS["b"] > 1) + (COLUMNS["kind"] == "y") * 3.0


def one_hot(trees: Any, **options: Any) -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(make_column_transformer((encoder, ["kind"]), remainder="passthrough", **options), trees)


def exported(estimator: Any, fields: dict[str, Any]) -> tuple[Any, Any]:
    contract = derive(create_model("Row", **fields), create_model("Prediction", answer=(float, ...)))
    frame = dataframes.as_frame({name: COLUMNS[name] for name in fields}, contract)
    model = converters.convert(estimator.fit(frame, LABEL), Inputs.of(contract), None, {})
    return model, contract


def close_to(array: np.ndarray) -> np.ndarray:
    return array if array.dtype == object else array + np.float32(1e-4)


TREES: list[tuple[Callable[[], Any], dict[str, Any]]] = [
    (lambda: HistGradientBoostingRegressor(max_iter=40), NUMBERS),
    (lambda: RandomForestRegressor(30, max_depth=6, random_state=0), NUMBERS),
    (
        lambda: make_pipeline(
            make_column_transformer(("passthrough", ["b", "a"])), RandomForestRegressor(30, max_depth=6, random_state=0)
        ),
        NUMBERS,
    ),
    (lambda: GradientBoostingRegressor(n_estimators=40), NUMBERS),
    (lambda: ExtraTreesRegressor(30, max_depth=5, random_state=0), NUMBERS),
    (lambda: one_hot(HistGradientBoostingRegressor(max_iter=40)), KINDS),
    (lambda: one_hot(RandomForestRegressor(30, max_depth=6, random_state=0)), KINDS),
]


@pytest.mark.parametrize(("make", "fields"), TREES)
def test_rows_on_the_same_sides_of_all_thresholds_have_the_same_prediction(
    make: Callable[[], Any], fields: dict[str, Any]
) -> None:
    model, contract = exported(make(), fields)
    found = thresholds.of(model, Inputs.of(contract).names)
    assert found is not None
    assert found["a"] == sorted(set(found["a"]))
    thresholds.add(model, Inputs.of(contract).names)
    runtime = OnnxRuntime(model.SerializeToString(), contract)
    columns = {name: np.concatenate([COLUMNS[name], close_to(COLUMNS[name])]) for name in fields}
    equal = row_groups.EqualRows.of(contract, json.dumps(found))
    assert equal is not None
    groups = equal.groups(columns)
    assert len(groups.scored) < 1.5 * ROWS
    answers = runtime._score(columns)["answer"]
    np.testing.assert_array_equal(answers, answers[groups.scored][groups.number])


@pytest.mark.parametrize(
    "estimator",
    [
        LinearRegression(),
        make_pipeline(StandardScaler(), RandomForestRegressor(5, max_depth=3, random_state=0)),
        make_pipeline(PCA(2), RandomForestRegressor(5, max_depth=3, random_state=0)),
        VotingRegressor(
            [("trees", RandomForestRegressor(5, max_depth=3, random_state=0)), ("line", LinearRegression())]
        ),
        make_pipeline(
            make_column_transformer((OneHotEncoder(sparse_output=False), ["b"]), remainder="passthrough"),
            RandomForestRegressor(5, max_depth=3, random_state=0),
        ),
    ],
)
def test_other_models_have_none(estimator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COLUMNS, "b", np.round(COLUMNS["b"]))
    model, contract = exported(estimator, NUMBERS)
    assert thresholds.of(model, Inputs.of(contract).names) is None


def test_categories_are_those_that_the_encoder_has_learned() -> None:
    fields = {**NUMBERS, "kind": (Literal["w", "x"], ...)}  # not those of the data
    model, contract = exported(one_hot(RandomForestRegressor(5, max_depth=4, random_state=0)), fields)
    assert (thresholds.of(model, Inputs.of(contract).names) or {})["kind"] == ["x", "y", "z"]


def test_trees_of_very_many_thresholds_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model, contract = exported(RandomForestRegressor(5, max_depth=4, random_state=0), NUMBERS)
    names = Inputs.of(contract).names
    found = thresholds.of(model, names)
    assert found
    monkeypatch.setattr(thresholds, "MAX_THRESHOLDS", sum(map(len, found.values())) - 1)
    assert thresholds.of(model, names) is None


def test_graph_of_a_form_that_is_not_known_has_none() -> None:
    model, contract = exported(one_hot(RandomForestRegressor(5, max_depth=4, random_state=0)), KINDS)
    names = Inputs.of(contract).names
    assert thresholds.of(model, names) is not None
    [gather] = [node for node in model.graph.node if node.op_type == "Gather"]
    del gather.attribute[:]  # rows are gathered, not columns
    assert thresholds.of(model, names) is None
