"""`model/data.py`: every labelled row keeps the contract, and the split serves its purpose."""

import pandas as pd
import pytest

from {{ cookiecutter.package_name }}.model import data
from {{ cookiecutter.package_name }}.toolkit.contract.schema import Contract
from {{ cookiecutter.package_name }}.toolkit.training import dataset


@pytest.fixture(scope="module")
def table(contract: Contract) -> pd.DataFrame:
    """Return the labelled rows; a `UserError` lists the values that break the contract."""
    return dataset.labelled_rows(data.load(), contract).table


def test_both_sides_of_the_split_can_be_used(table: pd.DataFrame, contract: Contract) -> None:
    training, holdout = data.split(table)
    assert len(dataset.labelled_rows(training, contract, "training").label) > 0
    assert len(dataset.labelled_rows(holdout, contract, "hold-out").label) > 0


def test_same_rows_are_held_out_every_time(table: pd.DataFrame) -> None:
    first, second = data.split(table)[1], data.split(table)[1]
    pd.testing.assert_frame_equal(first, second)
