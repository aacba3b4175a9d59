"""Figures: for all rows, for each group, and for what matters to the model."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, create_model
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import dataset, measurement, samples
from titanic_survival.toolkit.training.importance import TOTAL_ROWS, importance
from titanic_survival.toolkit.training.measurement import Criteria
from titanic_survival.toolkit.version.runtime import PythonRuntime


class Row(BaseModel):
    """One number that matters, and one that does not."""

    matters: float
    idle: float
    group: Literal["large", "small"] | None = None


class Prediction(BaseModel):
    """The number that matters, again."""

    label: float


class Echo:
    """Says what matters."""

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return one column."""
        return frame["matters"].to_numpy()


CONTRACT = derive(Row, Prediction)
RUNTIME = PythonRuntime(Echo(), CONTRACT)
MATTERS = np.arange(30.0)
ROWS = dataset.labelled_rows(
    pd.DataFrame({"matters": MATTERS, "idle": 0.0, "group": ["large"] * 25 + ["small"] * 5, "label": MATTERS}),
    CONTRACT,
)


def measure(actual: np.ndarray, predictions: pd.DataFrame) -> dict[str, float]:
    return {"rows": len(actual), "largest": predictions["label"].max(), "undefined": np.nan}


def test_metrics_of_all_rows_and_of_each_group_that_is_large_enough() -> None:
    found = measurement.measure(ROWS, RUNTIME.score(ROWS.columns), Criteria(measure, ["group"], {}), CONTRACT)
    assert found.metrics == {"rows": 30, "largest": 29, "rows/group/large": 25, "largest/group/large": 24}
    assert found.groups == {"group/large": 25}


def test_group_that_is_no_column_is_named() -> None:
    with pytest.raises(UserError, match="SLICES names 'unknown'"):
        measurement.measure(ROWS, RUNTIME.score(ROWS.columns), Criteria(measure, ["unknown"], {}), CONTRACT)


def test_field_that_matters_comes_first() -> None:
    found = importance(RUNTIME, ROWS, CONTRACT)
    assert found.rows == len(ROWS.label)
    assert next(iter(found.losses)) == "matters"
    assert found.losses["matters"] > 0.5
    assert found.losses["idle"] == found.losses["group"] == 0


def wide(fields: int) -> type[BaseModel]:
    """Return a row with many fields."""
    return create_model("Wide", __doc__="One row.", **{f"x{i}": (float, ...) for i in range(fields)})


def test_importance_of_many_fields_takes_few_rows_and_calls() -> None:
    fields, rows, scored = 300, 2000, []
    contract = derive(wide(fields), Prediction)
    columns = {f"x{i}": np.random.default_rng(i).normal(size=rows).astype(np.float32) for i in range(fields)}
    label = columns["x7"].astype(np.float64)

    class Counting:
        def predict(self, frame: pd.DataFrame) -> np.ndarray:
            scored.append(len(frame))
            return frame["x7"].to_numpy()

    holdout = dataset.LabelledRows(pd.DataFrame(), columns, label)
    found = importance(PythonRuntime(Counting(), contract), holdout, contract)
    assert found == importance(PythonRuntime(Counting(), contract), holdout, contract)
    assert (next(iter(found.losses)), found.rows, len(found.losses)) == ("x7", 500, fields)
    assert found.losses["x7"] > 1
    assert len(scored) < 2 * fields / 10
    assert sum(scored) <= 2 * (TOTAL_ROWS + found.rows)


def test_example_holds_rows_as_a_caller_would_send_them(version: Any) -> None:
    example = samples.example(RUNTIME, ROWS, CONTRACT)
    assert example.rows[1] == {"matters": 1.0, "idle": 0.0, "group": "large"}
    assert example.predictions[1] == {"label": 1.0}
    assert version.example.rows[0].keys() == version.contract.by_name.keys()


def test_metrics_without_label_get_the_table_of_each_group() -> None:
    contract = CONTRACT.model_copy(update={"label_count": 0})
    rows = ROWS._replace(label=np.zeros((len(ROWS.label), 0)))

    def largest(table: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
        assert len(table) == len(predictions)
        return {"largest": table["matters"].max()}

    found = measurement.measure(rows, RUNTIME.score(rows.columns), Criteria(largest, ["group"], {}), contract)
    assert found.metrics == {"largest": 29, "largest/group/large": 24}
