"""Fitting: which columns there are is said where the pipeline names one that there is not."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from pydantic import BaseModel
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from titanic_survival.toolkit.common.errors import UserError, attribute_errors_to
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import dataset, fitting
from titanic_survival.toolkit.training.dataset import Dataset


class Row(BaseModel):
    """A day and a number."""

    day: date
    amount: float


class Prediction(BaseModel):
    """A number."""

    price: float


CONTRACT = derive(Row, Prediction)
ROWS = dataset.labelled_rows(pd.DataFrame({"day": ["2026-01-31"] * 9, "amount": 1.0, "price": 2.0}), CONTRACT)
DATA = Dataset(CONTRACT, ROWS, ROWS, ROWS)


class Lookup:
    """An estimator that asks pandas for a column that there is not."""

    def fit(self, frame: pd.DataFrame, label: object) -> None:
        """Look up a date that the model sees by its parts."""
        frame["day"]


@pytest.mark.parametrize(
    "estimator",
    [Lookup(), make_pipeline(make_column_transformer(("passthrough", ["day", "amount"])), LinearRegression())],
)
def test_columns_that_there_are_are_named(estimator: object) -> None:
    columns = "The model sees 6 columns: day_year, day_month, day_day, day_weekday, day_days, amount\n"
    with (
        pytest.raises(UserError, match=rf"^model/pipeline\.py: (Key|Value)Error: .*\n{columns}"),
        attribute_errors_to(Path("model"), "pipeline.py"),
    ):
        fitting.fit(estimator, DATA)
