"""What loading, checking and splitting keep in memory: the columns of the model, and no second table."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, create_model
from titanic_survival.model import data
from titanic_survival.shared import training_data
from titanic_survival.toolkit.contract.derivation import derive

ROWS, FIELDS = 100_000, [f"x{i}" for i in range(10)]
Row = create_model("Row", __doc__="Ten numbers.", **dict.fromkeys(FIELDS, (float, ...)))


class Prediction(BaseModel):
    """A number."""

    label: float


def load() -> pd.DataFrame:
    """Return rows of eight bytes for each number."""
    rows = np.random.default_rng(0).random((ROWS, len(FIELDS) + 1))
    return pd.DataFrame(rows, columns=[*FIELDS, "label"])


@pytest.fixture(autouse=True)
def other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "load", load)
    monkeypatch.setattr(training_data, "features_module", lambda: None)


def test_memory_is_at_most_three_times_the_table_and_less_than_one_afterwards() -> None:
    contract, size = derive(Row, Prediction), load().memory_usage().sum()
    training_data.load(contract)  # what is imported on the way is not counted
    tracemalloc.start()
    rows = training_data.load(contract)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rows.training.label) + len(rows.holdout.label) == rows.source.rows == ROWS
    assert peak <= 3 * size
    assert after < size


def test_holdout_rows_keep_their_table_for_the_slices() -> None:
    rows = training_data.load(derive(Row, Prediction))
    assert len(rows.holdout.table) == len(rows.holdout.label)
    assert list(rows.training.table) == [*FIELDS, "label"]
