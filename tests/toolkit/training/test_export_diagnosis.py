"""Where Python serves, the training says on which rows ONNX differs, from which step on, and what usually helps."""

from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import Columns
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training.export import onnx_export
from titanic_survival.toolkit.training.export.onnx_export import OnnxExport
from titanic_survival.toolkit.version.runtime import OnnxRuntime


class Row(BaseModel):
    """Numbers and a category."""

    a: float = Field(le=5_000_000)
    b: float
    word: Literal["x", "y"]


class Optional(Row):
    """A number may be missing."""

    a: float | None = None


class Amount(BaseModel):
    """A regression."""

    amount: float


RANDOM = np.random.default_rng(0)
COLUMNS: Columns = {
    "a": (RANDOM.normal(size=300) * 1000).astype(np.float32),
    "b": RANDOM.normal(size=300).astype(np.float32),
    "word": RANDOM.choice(["x", "y"], 300).astype(object),
}
AMOUNT = np.where(COLUMNS["word"] == "x", COLUMNS["a"] / 1000, COLUMNS["b"]).astype(np.float64)
MISSING = COLUMNS | {"a": np.where(np.arange(300) % 7 == 3, np.nan, COLUMNS["a"]).astype(np.float32)}


def encoder(*others: Any) -> Any:
    """Return a transformer of the category, and of other columns."""
    return make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["word"]),
        *others,
        remainder="passthrough",
        verbose_feature_names_out=False,
    )


def export(
    model: Any, columns: Columns = COLUMNS, row: type[BaseModel] = Row, amount: np.ndarray = AMOUNT
) -> OnnxExport:
    """Fit and export a model."""
    contract = derive(row, Amount)
    return onnx_export.export(model.fit(dataframes.as_frame(columns, contract), amount), contract, columns)


def test_model_that_onnx_serves_needs_no_explanation() -> None:
    exported = export(make_pipeline(encoder(), HistGradientBoostingRegressor()), MISSING, Optional)
    assert exported.model
    assert exported.details == ()


def test_scaler_before_trees_is_advised_against() -> None:
    exported = export(make_pipeline(encoder(), StandardScaler(), HistGradientBoostingRegressor()))
    assert exported.model is None
    assert "\n" not in exported.note
    rows, step, helps = exported.details[:2], exported.details[2], exported.details[3]
    for row in rows:
        number, a = row.split()[2], row.partition("a=")[2].partition(",")[0]
        assert row.startswith("hold-out row ")
        assert float(a) == pytest.approx(float(COLUMNS["a"][int(number)]), rel=1e-5)
        assert " by Python, " in row
        assert row.endswith(" by ONNX")
    assert "begins at step 3 of 3, HistGradientBoostingRegressor; the steps before it differ by " in step
    assert helps.startswith("What usually helps: leaving out StandardScaler")
    # And it does.
    assert export(make_pipeline(encoder(), HistGradientBoostingRegressor())).model


def test_forest_that_knows_missing_values_is_advised_to_fill_them() -> None:
    exported = export(make_pipeline(encoder(), RandomForestRegressor(20, random_state=0)), MISSING, Optional)
    assert exported.model is None
    assert all("(a=nan, " in row for row in exported.details[:2])
    assert "step 2 of 2, RandomForestRegressor; the steps before it give the same" in exported.details[2]
    assert "SimpleImputer" in exported.details[3]


def test_scaler_before_a_forest_is_named_beside_missing_values() -> None:
    # Many equal values, so that thresholds lie close to them.
    columns = MISSING | {"a": np.round(MISSING["a"] / 50) * np.float32(50)}
    forest = RandomForestRegressor(20, random_state=0)
    exported = export(make_pipeline(encoder(), StandardScaler(), forest), columns, Optional)
    assert "SimpleImputer before this step" in exported.details[-1]
    assert "leaving out StandardScaler" in exported.details[-1]


def test_sums_of_large_numbers_are_advised_to_be_scaled() -> None:
    columns = COLUMNS | {"a": COLUMNS["a"] + np.float32(4e6)}
    exported = export(make_pipeline(encoder(), LinearRegression()), columns)
    assert exported.model is None
    assert "StandardScaler before this step" in exported.details[-1]


def test_large_labels_are_advised_to_have_a_larger_unit() -> None:
    exported = export(make_pipeline(encoder(), HistGradientBoostingRegressor()), amount=AMOUNT * 3000)
    assert exported.model is None
    assert "a larger unit of the label" in exported.details[-1]


@pytest.mark.parametrize(
    ("step", "where", "advice"),
    [
        (FunctionTransformer(np.abs), "step 2 of 3, FunctionTransformer, is not converted", "model/features.py"),
        (SplineTransformer(), "step 2 of 3, SplineTransformer, is not converted", "onnx_options()"),
    ],
)
def test_step_without_a_converter_is_named(step: Any, where: str, advice: str) -> None:
    exported = export(make_pipeline(encoder(), step, LinearRegression()))
    assert exported.note.startswith("not convertible to ONNX: ")
    assert exported.details[0] == where
    assert advice in exported.details[1]


def test_transformer_of_columns_without_a_converter_is_named() -> None:
    exported = export(make_pipeline(encoder((SplineTransformer(), ["b"])), LinearRegression()))
    assert exported.details[0] == "step 1 of 2, ColumnTransformer, is not converted, because of its SplineTransformer"


def test_row_at_an_edge_is_described_by_what_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    score = OnnxRuntime.score

    def wrong_for_large_values(self: Any, columns: Any) -> Any:
        return {"amount": score(self, columns)["amount"] + (columns["a"] > 4e6) * np.float32(1e9)}

    monkeypatch.setattr(OnnxRuntime, "score", wrong_for_large_values)
    exported = export(make_pipeline(encoder(), HistGradientBoostingRegressor()))
    assert "failed on 1 of " in exported.note
    assert exported.details[0].startswith("hold-out row 0 with another value (a=5e+06): amount is ")


def test_model_that_fails_itself_at_an_edge_is_not_called_inconvertible() -> None:
    exported = export(make_pipeline(encoder(), LinearRegression()), row=Optional)
    assert exported.model is None
    assert "the model itself fails on hold-out rows or on the edges of the schema: ValueError" in exported.note
