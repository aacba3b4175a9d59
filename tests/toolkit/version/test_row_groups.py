"""Rows that are equal to the trees of a model are scored once; all predictions are those of each row by itself."""

import json
from typing import Annotated, Any, Literal

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from pydantic import Field, create_model
from titanic_survival.toolkit.contract.columns import Columns, concatenate, take
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.training.export import thresholds
from titanic_survival.toolkit.version import row_groups, row_order
from titanic_survival.toolkit.version.artifact import Artifact
from titanic_survival.toolkit.version.row_groups import EqualRows
from titanic_survival.toolkit.version.runtime import OnnxRuntime

ROWS = 5 * row_order.MIN_ROWS


def contract_of(**fields: Any) -> Contract:
    return derive(create_model("Row", **fields), create_model("Prediction", answer=(float, ...)))


def stored_thresholds(version: Artifact) -> dict[str, list[Any]]:
    session = onnxruntime.InferenceSession(version.folder / "model.onnx")
    found: dict[str, list[Any]] = json.loads(session.get_modelmeta().custom_metadata_map[row_groups.METADATA])
    return found


def around(edges: list[float], random: np.random.Generator) -> np.ndarray:
    """Return numbers at the edges, the closest ones to them on both sides, others, and NaN."""
    at = np.array([*edges, 0.0, -0.0], np.float32)
    closest = [np.nextafter(at, np.float32(side)) for side in (-np.inf, np.inf)]
    return random.choice(np.concatenate([at, *closest, [np.nan, 1e9, -1e9], at + random.normal(0, 1, len(at))]), ROWS)


def columns_around(contract: Contract, edges: dict[str, list[float]]) -> Columns:
    random = np.random.default_rng(0)
    return {
        field.name: random.choice(np.array(["", *field.categories], object), ROWS)
        if field.is_text
        else around(edges.get(field.name, []), random).astype(np.float32)
        for field in contract.row
    }


def by_themselves(runtime: OnnxRuntime, columns: Columns) -> Columns:
    """Return the predictions of calls of so few rows that none are grouped."""
    parts = np.array_split(np.arange(ROWS), ROWS // 500)
    return concatenate([runtime.score(take(columns, part)) for part in parts])


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many rows each call of a model has."""
    counts: list[int] = []
    score = OnnxRuntime._score

    def counting(runtime: OnnxRuntime, columns: Columns) -> Columns:
        counts.append(len(next(iter(columns.values()))))
        return score(runtime, columns)

    monkeypatch.setattr(OnnxRuntime, "_score", counting)
    return counts


def test_predictions_are_those_of_each_row_by_itself(version: Artifact, scored: list[int]) -> None:
    edges = stored_thresholds(version)
    columns = columns_around(version.contract, edges)
    # Few thresholds, so that there are few groups.
    columns = {name: array if name in ("age", "sex") else array[:1].repeat(ROWS) for name, array in columns.items()}
    found = version.runtime.score(columns)
    assert scored[0] < ROWS / 2
    for name, array in by_themselves(version.runtime, columns).items():
        np.testing.assert_array_equal(found[name], array)
    assert len(np.unique(array)) > 20


def test_rows_of_many_groups_are_scored_right_too(version: Artifact, scored: list[int]) -> None:
    columns = columns_around(version.contract, stored_thresholds(version))
    found = version.runtime.score(columns)
    assert ROWS / 2 < scored[0] < ROWS
    for name, array in by_themselves(version.runtime, columns).items():
        np.testing.assert_array_equal(found[name], array)


MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]


def stumps(modes: list[str], edges: list[float]) -> onnx.ModelProto:
    """Return a model of trees of one branch on the columns `a` and `b` in turn, each with an answer of its own."""
    count = len(edges)
    nodes = [(tree, node) for tree in range(count) for node in range(3)]
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["matrix"],
        ["answer"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[tree for tree, _ in nodes],
        nodes_nodeids=[node for _, node in nodes],
        nodes_featureids=[tree % 2 for tree, _ in nodes],
        nodes_values=[0.0 if node else edges[tree] for tree, node in nodes],
        nodes_modes=["LEAF" if node else modes[tree % len(modes)] for tree, node in nodes],
        nodes_truenodeids=[0 if node else 1 for _, node in nodes],
        nodes_falsenodeids=[0 if node else 2 for _, node in nodes],
        target_treeids=[tree for tree in range(count) for _ in range(2)],
        target_nodeids=[1, 2] * count,
        target_ids=[0] * 2 * count,
        target_weights=[float(value) for tree in range(count) for value in (0, 2.0 ** (tree % 20))],
    )
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "ab"]
    output = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [None, 1])
    joined = helper.make_node("Concat", ["a", "b"], ["matrix"], axis=1)
    graph = helper.make_graph([joined, trees], "stumps", inputs, [output])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


NUMBERS = contract_of(a=(float | None, None), b=(float | None, None))


@pytest.mark.parametrize("mode", [*MODES, None])
@pytest.mark.parametrize("edges", [20, 2 * (row_groups.MAX_COMPARED + 1)])
def test_numbers_at_a_threshold_go_the_way_that_the_branch_says(
    mode: str | None, edges: int, scored: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_order, "MIN_BYTES", 0)
    values = np.random.default_rng(1).normal(0, 3, edges).astype(np.float32).tolist()
    model = stumps([mode] if mode else MODES, values)
    thresholds.add(model, ["a", "b"])
    runtime = OnnxRuntime(model.SerializeToString(), NUMBERS)
    columns = columns_around(NUMBERS, {"a": values[::2], "b": values[1::2]})
    columns["a"] = np.where(np.arange(ROWS) % 2, columns["a"], columns["a"][0])
    answers = runtime.score(columns)["answer"]
    assert scored[0] < ROWS
    np.testing.assert_array_equal(answers, by_themselves(runtime, columns)["answer"])
    assert len(np.unique(answers)) > 20


def groups(contract: Contract, edges: dict[str, list[Any]], columns: Columns) -> list[int] | None:
    equal = EqualRows.of(contract, json.dumps(edges))
    return None if equal is None else equal.groups(columns).number.tolist()


def test_columns_that_the_model_does_not_use_do_not_count() -> None:
    columns = {"a": np.array([1, 2, 3], np.float32), "b": np.array([7, 8, 9], np.float32)}
    assert groups(NUMBERS, {"a": [2]}, columns) == [0, 0, 1]
    assert groups(NUMBERS, {"a": []}, columns) == [0, 0, 0]


def test_each_category_and_each_element_of_a_vector_counts() -> None:
    pair = (list[float], Field(min_length=2, max_length=2))
    contract = contract_of(kind=(Literal["x", "y"] | None, None), pair=pair)
    columns = {
        "kind": np.array(["y", "", "x", "x", "x"], object),
        "pair": np.array([[0, 0], [0, 0], [0, 0], [0, 9], [9, 0]], np.float32),
    }
    edges: dict[str, list[Any]] = {"kind": ["x", "y"], "pair_0": [1], "pair_1": [1]}
    assert sorted(groups(contract, edges, columns) or []) == list(range(5))
    del edges["pair_0"]
    found = groups(contract, edges, columns) or []
    assert found[2] == found[4] != found[3]


def test_categories_are_those_of_the_model_and_all_other_texts_are_one() -> None:
    contract = contract_of(zip_code=(Annotated[str, "key"], ...))
    columns = {"zip_code": np.array(["1", "2", "3", "", "4"], object)}
    found = groups(contract, {"zip_code": ["2", "4"]}, columns) or []
    assert found[0] == found[2] == found[3]
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    "damaged",
    [
        "{",
        "{}",
        "[]",
        "5",
        '{"a": null}',
        '{"a": [NaN]}',
        '{"a": [2.0, 1.0]}',
        '{"a": ["x"]}',
        '{"other": [1.0]}',
        "[" * 99999,
    ],
)
def test_damaged_thresholds_group_nothing(damaged: str) -> None:
    contract = contract_of(a=(float, ...))
    assert EqualRows.of(contract, '{"a": [1.0]}') is not None
    assert EqualRows.of(contract, damaged) is None


def test_models_without_thresholds_or_with_too_many_groups_have_none() -> None:
    assert EqualRows.of(NUMBERS, None) is None
    wide = contract_of(wide=(list[float], Field(min_length=40, max_length=40)))
    assert EqualRows.of(wide, json.dumps({name: [0.0] for name in wide.row[0].columns})) is None
    assert EqualRows.of(wide, json.dumps({"wide_0": [0.0]})) is not None
