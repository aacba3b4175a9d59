"""The four files of `model/` fit together; this takes no training, so it is quick enough for every commit."""

from titanic_survival.model import data, pipeline, quality
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.training import dataset, gates


def test_data_keeps_the_contract(contract: Contract) -> None:
    rows = dataset.check(data.load(), contract)
    for part in data.split(rows.table):
        dataset.check(part, contract)


def test_same_rows_fall_on_the_same_side_every_time(contract: Contract) -> None:
    first, second = (data.split(dataset.check(data.load(), contract).table) for _ in range(2))
    assert [list(part.index) for part in first] == [list(part.index) for part in second]


def test_pipeline_can_predict() -> None:
    assert hasattr(pipeline.build(), "predict")


def test_slices_are_columns_of_the_data() -> None:
    assert set(quality.SLICES) <= set(data.load().columns)


def test_gates_can_be_read() -> None:
    assert gates.parse(quality.GATES).keys() == quality.GATES.keys()
