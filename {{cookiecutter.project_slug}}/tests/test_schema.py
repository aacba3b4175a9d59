"""`model/schema.py`: what a row is, and what is not one."""

from typing import Any

import pytest
from pydantic import ValidationError

from {{ cookiecutter.package_name }}.model import schema
from {{ cookiecutter.package_name }}.toolkit.contract.schema import Contract


def test_contract_has_every_field(contract: Contract) -> None:
    assert [field.name for field in contract.row] == list(schema.Row.model_fields)
    assert [field.name for field in contract.prediction] == list(schema.Prediction.model_fields)


def test_example_rows_and_predictions_are_valid(rows: list[dict[str, Any]], predictions: list[dict[str, Any]]) -> None:
    for row, prediction in zip(rows, predictions, strict=True):
        schema.Row.model_validate(row)
        schema.Prediction.model_validate(prediction)


@pytest.mark.parametrize("field", schema.Row.model_fields)
def test_value_of_a_wrong_type_is_invalid(rows: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        schema.Row.model_validate(rows[0] | {field: {}})
