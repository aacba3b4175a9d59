"""Which schemas are supported, and the contract that follows from each."""

import enum
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, PositiveInt, create_model, field_validator
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.schema import Contract


class Colour(enum.Enum):
    """Words as an enum."""

    RED = "red"
    BLUE = "blue"


LABEL = {"label": (bool, ...)}
FIELDS = {"given": (float, ...)}

DERIVED = [
    ((float, ...), {"kind": "float"}),
    ((float | None, None), {"kind": "float", "nullable": True, "required": False}),
    ((float | None, ...), {"kind": "float", "nullable": True}),
    ((float, 1.5), {"kind": "float", "required": False, "default": 1.5}),
    ((float, Field(ge=0, lt=2)), {"kind": "float", "at_least": 0, "below": 2}),
    ((Annotated[float, Field(gt=0)] | None, Field(le=2)), {"nullable": True, "above": 0, "at_most": 2}),
    ((PositiveInt, ...), {"kind": "int", "above": 0}),
    ((int, Field(default=0, ge=0, description="how many")), {"kind": "int", "default": 0, "description": "how many"}),
    ((bool, ...), {"kind": "bool"}),
    ((bool | None, None), {"kind": "bool", "nullable": True, "required": False}),
    ((Literal["a", "b"], ...), {"kind": "category", "categories": ("a", "b")}),
    ((Literal["a", "b"] | None, "a"), {"kind": "category", "nullable": True, "required": False, "default": "a"}),
    ((Colour, Colour.BLUE), {"kind": "category", "categories": ("red", "blue"), "default": "blue"}),
    ((list[float], Field(min_length=3, max_length=3)), {"kind": "vector", "length": 3}),
    (
        (list[Annotated[float, Field(ge=0, le=16)]], Field(min_length=2, max_length=2)),
        {"kind": "vector", "length": 2, "at_least": 0, "at_most": 16},
    ),
    ((list[float] | None, Field(min_length=3, max_length=3)), {"kind": "vector", "length": 3, "nullable": True}),
    (
        (list[Annotated[list[float], Field(min_length=3, max_length=3)]], Field(min_length=2, max_length=2)),
        {"kind": "vector", "length": 6, "shape": (2, 3), "depth": 2, "width": 6},
    ),
    ((str, Field(max_length=2000)), {"kind": "text", "max_length": 2000}),
    ((str | None, Field(default=None, max_length=9)), {"kind": "text", "nullable": True, "default": None}),
    ((Annotated[str, "key"], ...), {"kind": "key", "max_length": 256, "whole": False}),
    ((Annotated[str, "key"], Field(min_length=5, max_length=5)), {"kind": "key", "min_length": 5, "max_length": 5}),
    ((Annotated[int, "key"] | None, None), {"kind": "key", "whole": True, "nullable": True}),
    ((Decimal, Field(ge=0)), {"kind": "float", "decimal": True, "at_least": 0}),
    ((Decimal, Decimal("1.5")), {"kind": "float", "default": 1.5}),
    ((date, Field(ge=date(1970, 1, 2))), {"kind": "date", "at_least": 86400, "width": 5}),
    ((date, date(2026, 1, 31)), {"kind": "date", "default": "2026-01-31"}),
    ((datetime | None, None), {"kind": "datetime", "nullable": True, "width": 8}),
    ((datetime, datetime(2026, 1, 31, 2, tzinfo=timezone(timedelta(hours=2)))), {"default": "2026-01-31T00:00:00Z"}),
    ((time, Field(lt=time(18, 30))), {"kind": "time", "below": 66600}),
    ((timedelta, Field(default=timedelta(hours=30), gt=timedelta(0))), {"default": "P1DT6H0M0S", "above": 0}),
]

REFUSED = [
    ((float, Field(alias="other")), "aliases"),
    ((float, Field(validation_alias="other")), "aliases"),
    ((str, ...), "Field(max_length=2000)"),
    ((str, Field(max_length=9, pattern="a+")), "not supported"),
    ((Annotated[float, "key"], ...), "a key is"),
    ((Annotated[int, "key"], Field(ge=0)), "no bounds"),
    ((dict[str, float], ...), "a dict is for probabilities in Prediction"),
    ((float | str, ...), "one of several"),
    ((Literal[1, 2], ...), "non-empty strings"),
    ((Literal["a", ""], ...), "non-empty strings"),
    ((list[int], Field(min_length=2, max_length=2)), "list[float]"),
    ((list[float | None], Field(min_length=2, max_length=2)), "must not be missing"),
    ((list[list[float]], Field(min_length=2, max_length=2)), "the inner list"),
    ((list[float], ...), "fixed length"),
    ((list[float], Field(min_length=2)), "fixed length"),
    ((list[float], Field(min_length=2, max_length=3)), "fixed length"),
    ((list[float], Field(default=[0.0, 0.0], min_length=2, max_length=2)), "can only be None"),
    ((float, Field(multiple_of=0.5)), "not supported"),
    ((int, Field(le=2**24 + 1)), "exact up to"),
    ((int, Field(ge=-(2**24) - 1)), "exact up to"),
    ((float, Field(le=1e39)), "float32"),
    ((float, Field(lt=float("inf"))), "float32"),
    ((float, None), "does not allow"),
    ((float, Field(default_factory=float)), "plain value"),
    ((int, Field(default=-1, ge=0)), "default"),
    ((float, "much"), "default"),
    ((Literal["a", "b"], "c"), "default"),
]


def derived(row: dict[str, Any], prediction: dict[str, Any]) -> Contract:
    return derive(create_model("Row", **row), create_model("Prediction", **prediction))


@pytest.mark.parametrize(("field", "facts"), DERIVED)
def test_field_becomes_a_column(field: Any, facts: dict[str, Any]) -> None:
    column = derived({"given": field}, LABEL).row[0]
    assert {name: getattr(column, name) for name in facts} == facts


@pytest.mark.parametrize(("field", "reason"), REFUSED)
def test_field_that_cannot_hold_everywhere_is_refused(field: Any, reason: str) -> None:
    with pytest.raises(UserError, match=r"Row\.given") as refused:
        derived({"given": field}, LABEL)
    assert reason in str(refused.value)


@pytest.mark.parametrize(("mark", "near"), [("Key", True), ("keys", True), ("unique", False)])
def test_misspelled_key_is_named(mark: str, near: bool) -> None:
    with pytest.raises(UserError, match=f"'{mark}' is not supported here") as refused:
        derived({"given": (Annotated[str, mark], ...)}, LABEL)
    assert ("(did you mean 'key'?)" in str(refused.value)) == near


@pytest.mark.parametrize("others", [{}, {"probabilities": (list[float], Field(min_length=3, max_length=3))}])
def test_label_that_is_not_supported_is_the_only_problem(others: dict[str, Any]) -> None:
    with pytest.raises(UserError) as refused:
        derived(FIELDS, {"grade": (Literal[0, 1, 2], ...)} | others)
    (problem,) = str(refused.value).splitlines()[1:]
    assert "Prediction.grade: the allowed values (0, 1, 2)" in problem


def test_every_refusal_is_named_at_once() -> None:
    with pytest.raises(UserError) as refused:
        derived({"first": (str, ...), "second": (bytes, ...)}, {"third": (dict, ...)})
    assert all(name in str(refused.value) for name in ("Row.first", "Row.second", "Prediction.third"))


def test_validators_are_refused() -> None:
    class Row(BaseModel):
        """A check that cannot be turned into a column."""

        given: float

        @field_validator("given")
        @classmethod
        def even(cls, value: float) -> float:
            """Refuse odd numbers."""
            return value

    with pytest.raises(UserError, match="Row has validators"):
        derive(Row, create_model("Prediction", **LABEL))


@pytest.mark.parametrize(
    ("row", "prediction", "reason"),
    [
        (FIELDS | LABEL, LABEL, "leaks the label"),
        ({}, LABEL, "at least one field"),
        (FIELDS, {}, "at least one field"),
        (FIELDS, {"label": (bool | None, ...)}, "not optional"),
        (FIELDS, {"label": (list[float], Field(min_length=2, max_length=2))}, "the label"),
        (FIELDS, LABEL | {"id": (float, ...)}, r"Prediction\.id"),
        (FIELDS, LABEL | {"version": (float, ...)}, r"Prediction\.version"),
        ({"v": (list[float], Field(min_length=2, max_length=2)), "v_1": (float, ...)}, LABEL, r"Row\.v_1"),
        ({"sold": (date, ...), "sold_year": (int, ...)}, LABEL, r"Row\.sold_year"),
        (FIELDS, {"label": (str, Field(max_length=9))}, "the label"),
        (FIELDS, LABEL | {"when": (date, ...)}, r"Prediction\.when"),
    ],
)
def test_schema_as_a_whole_is_rejected(row: dict[str, Any], prediction: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        derived(row, prediction)


@pytest.mark.parametrize(
    ("label", "task"),
    [(float, "regression"), (int, "classification"), (bool, "classification"), (Literal["a", "b"], "classification")],
)
def test_label_decides_the_task(label: Any, task: str) -> None:
    assert derived(FIELDS, {"label": (label, ...)}).task == task


def test_vector_is_spread_over_the_columns_of_the_model() -> None:
    contract = derived({"v": (list[float], Field(min_length=2, max_length=2)), "after": (int, ...)}, LABEL)
    assert contract.model_columns == ["v_0", "v_1", "after"]


def test_contract_travels_as_json(contract: Contract) -> None:
    everything = derived({f"field_{i}": field for i, (field, _) in enumerate(DERIVED)}, LABEL)
    for original in (everything, contract):
        assert Contract.model_validate_json(original.model_dump_json(exclude_defaults=True)) == original


class Counts(BaseModel):
    """Whole numbers with and without bounds."""

    free: int
    bounded: int = Field(ge=0, le=1234567)


def test_bounds_of_whole_numbers_are_written_out() -> None:
    free, bounded = derive(Counts, create_model("Prediction", **LABEL)).row
    assert free.expects == (
        "a whole number, at least -16777216 and at most 16777216 (larger ones are not exact in float32)"
    )
    assert bounded.expects == "a whole number, at least 0 and at most 1234567"
