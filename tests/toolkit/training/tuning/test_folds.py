"""Folds: cut as the hold-out rows are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import dataset
from titanic_survival.toolkit.training.dataset import Dataset, Source
from titanic_survival.toolkit.training.tuning import folds
from titanic_survival.toolkit.training.tuning.folds import Folds


class Row(BaseModel):
    """One number."""

    amount: float


class Prediction(BaseModel):
    """One label."""

    paid: bool


def table(rows: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "amount": random.normal(size=rows),
            "paid": random.random(rows) < 0.2,
            "day": pd.date_range("2026-01-01", periods=rows // 4).repeat(4).astype(str),
            "customer": random.integers(0, 40, rows).astype(str),
        }
    ).sample(frac=1, random_state=0)


def split(data: pd.DataFrame, held_out: Any) -> Dataset:
    contract = derive(Row, Prediction).model_copy(update={"label_count": 1})
    training, holdout, _ = dataset.split_rows((data[~held_out], data[held_out]), contract)
    return Dataset(contract.with_classes(dataset.classes(training.label)), Source("", len(data)), training, holdout)


def check(found: Folds, rows: int) -> None:
    """Every fold has rows on both sides, and no row on both."""
    assert len(found.folds) == 5
    for fold in found.folds:
        assert len(fold.training) > 0 < len(fold.validation)
        assert not len(np.intersect1d(fold.training, fold.validation))
        assert max(fold.training.max(), fold.validation.max()) < rows


def test_rows_cut_at_a_date_are_validated_on_later_ones() -> None:
    data = table()
    rows = split(data, (data["day"] > "2026-03-20").to_numpy())
    found, day = folds.make(rows), rows.training.table["day"]
    check(found, len(day))
    assert found.text == f"5 folds of {len(day)} training rows in the order of day"
    for fold in found.folds:
        assert day[fold.training].max() < day[fold.validation].min()
    # Together, the later parts are all rows but the first part, once each.
    validated = np.concatenate([fold.validation for fold in found.folds])
    assert sorted([*validated, *found.folds[0].training]) == list(range(len(day)))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_customers_on_one_side_are_in_one_fold(task: str) -> None:
    data = table()
    rows = split(data, data["customer"].isin([str(i) for i in range(8)]).to_numpy())
    if task == "regression":
        rows = Dataset(rows.contract.model_copy(update={"task": task}), rows.source, rows.training, rows.holdout)
    found, customer = folds.make(rows), rows.training.table["customer"]
    check(found, len(customer))
    assert found.text.endswith("by customer")
    for fold in found.folds:
        assert not set(customer[fold.training]) & set(customer[fold.validation])
    assert sorted(np.concatenate([fold.validation for fold in found.folds])) == list(range(len(customer)))


def test_other_rows_are_mixed_with_equal_shares_of_classes_and_equal_rows_together() -> None:
    data = pd.concat([table(), table()])  # each row twice
    rows = split(data, (pd.util.hash_pandas_object(data, index=False) % 5 == 0).to_numpy())
    found, label = folds.make(rows), rows.training.label
    check(found, len(label))
    assert found.text.endswith("at random")
    for fold in found.folds:
        assert label[fold.validation].mean() == pytest.approx(label.mean(), abs=0.03)
        amount = rows.training.table["amount"]
        assert not set(amount[fold.training]) & set(amount[fold.validation])
    again = folds.make(rows)
    assert all((a.validation == b.validation).all() for a, b in zip(found.folds, again.folds, strict=True))


def test_labels_of_the_hold_out_rows_change_no_fold() -> None:
    data = table()
    held_out = (pd.util.hash_pandas_object(data, index=False) % 5 == 0).to_numpy()
    other = data.assign(paid=np.where(held_out, ~data["paid"], data["paid"]))
    first, second = (folds.make(split(one, held_out)) for one in (data, other))
    assert all((a.validation == b.validation).all() for a, b in zip(first.folds, second.folds, strict=True))


def test_own_folds_are_used() -> None:
    data = table()
    rows = split(data, np.arange(len(data)) % 5 == 0)
    found = folds.make(rows, lambda training: [(range(100, len(training)), range(100))])
    assert found.text.endswith("by folds() of model/data.py")
    [fold] = found.folds
    assert fold.validation.tolist() == list(range(100))


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (lambda rows: 7, "must yield pairs"),
        (lambda rows: [], "yields no fold"),
        (lambda rows: [([0, 1], [1, 2])], "training and validation of one fold"),
        (lambda rows: [([0, 1], [10_000])], "positions from 0 to 319"),
    ],
)
def test_own_folds_that_cannot_be_used_are_named(own: Callable[[Any], Any], said: str) -> None:
    data = table()
    with pytest.raises(UserError, match=said):
        folds.make(split(data, np.arange(len(data)) % 5 == 0), own)


def test_fold_without_every_class_in_training_is_left_out() -> None:
    data = table().sort_values("day").assign(paid=lambda rows: [i % 3 == 0 and i > 120 for i in range(len(rows))])
    rows = split(data, (data["day"] > "2026-03-20").to_numpy())
    found = folds.make(rows)
    assert found.text.startswith(f"{len(found.folds)} folds")
    assert 1 <= len(found.folds) < 5
    assert all(rows.training.label[fold.training].any() for fold in found.folds)
