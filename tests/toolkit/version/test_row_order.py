"""Many rows are scored in an order of their own, and their predictions come in the order of the rows."""

from typing import Any, Literal

import numpy as np
import pytest
from pydantic import Field, create_model
from titanic_survival.toolkit.contract.columns import Columns, concatenate, from_rows, take
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.version import row_order
from titanic_survival.toolkit.version import runtime as runtime_module
from titanic_survival.toolkit.version.artifact import Artifact
from titanic_survival.toolkit.version.row_groups import RowGroups
from titanic_survival.toolkit.version.row_order import similar_rows
from titanic_survival.toolkit.version.runtime import OnnxRuntime

ROWS = 2 * row_order.MIN_ROWS + 1


def order(columns: Columns, **fields: Any) -> list[int]:
    contract = derive(create_model("Row", **fields), create_model("Prediction", answer=(float, ...)))
    return similar_rows(columns, contract).scored.tolist()


def test_predictions_are_those_of_rows_in_their_own_order(
    version: Artifact, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = OnnxRuntime((version.folder / "model.onnx").read_bytes(), version.contract)
    runtime._equal_rows = None  # as of a version whose thresholds are not known
    random = np.random.default_rng(0)
    columns = take(from_rows(rows, version.contract), random.integers(0, len(rows), ROWS))
    columns["fare"] *= random.uniform(0.5, 2, ROWS).astype(np.float32)
    parts = [take(columns, np.arange(i, min(i + 1000, ROWS))) for i in range(0, ROWS, 1000)]
    expected = concatenate([runtime.score(part) for part in parts])
    orders: list[RowGroups] = []
    monkeypatch.setattr(runtime_module, "similar_rows", lambda *given: orders.append(similar_rows(*given)) or orders[0])
    found = runtime.score(columns)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    assert len(np.unique(array)) > 100
    order = orders[0].scored.tolist()
    assert sorted(order) == list(range(ROWS)) != order


def test_rows_of_a_category_are_together_and_in_them_similar_numbers() -> None:
    columns = {
        "kind": np.array(["b", "", "a", "b", "a", "b"], object),
        "size": np.array([9, 1, np.nan, 2, 4, 5], np.float32),
    }
    found = order(columns, kind=(Literal["a", "b"] | None, None), size=(float | None, None))
    assert found == [1, 4, 2, 3, 5, 0]


def test_texts_keys_and_columns_of_nothing_do_not_count() -> None:
    columns = {
        "text": np.array(["c", "a", "b"], object),
        "empty": np.full(3, np.nan, np.float32),
        "pair": np.array([[1, 3], [1, 2], [0, 9]], np.float32),
    }
    pair = (list[float], Field(min_length=2, max_length=2))
    assert order(columns, text=(str, Field(max_length=9)), empty=(float | None, None), pair=pair) == [2, 1, 0]


def test_many_features_make_no_more_groups_than_a_number_holds() -> None:
    columns = {"wide": np.random.default_rng(0).random((100, 50)).astype(np.float32)}
    found = order(columns, wide=(list[float], Field(min_length=50, max_length=50)))
    assert sorted(found) == list(range(100))
    assert (np.diff(columns["wide"][found, 0]) >= -0.2).all()
