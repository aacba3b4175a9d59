"""Gates: which versions pass, and the reason if one does not."""

import math
from typing import Any

import pytest
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.training import gates


def passes(gate: dict[str, Any], value: float, champion: float | None = None) -> bool:
    champion_metrics = {} if champion is None else {"m": champion}
    (result,) = gates.evaluate(gates.parse({"m": gate}), {"m": value}, champion_metrics)
    assert result.passed == (not result.reason)
    return result.passed


@pytest.mark.parametrize(
    ("gate", "value", "champion", "passed"),
    [
        ({"at_least": 0.8}, 0.8, None, True),
        ({"at_least": 0.8}, 0.79, None, False),
        ({"at_most": 0.5}, 0.5, None, True),
        ({"at_most": 0.5}, 0.51, None, False),
        ({"at_most": 0}, 0.1, None, False),
        ({"at_least": 0}, math.nan, None, False),
        ({"at_most": 0}, math.nan, None, False),
        ({"at_least": 0.5}, 0.8, 0.8, True),
        ({"at_least": 0.5}, 0.79, 0.8, False),
        ({"at_least": 0.5}, 0.9, 0.8, True),
        ({"at_most": 0.5}, 0.3, 0.3, True),
        ({"at_most": 0.5}, 0.31, 0.3, False),
        ({"at_least": 0.5, "tolerance": 0.02}, 0.79, 0.8, True),
        ({"at_least": 0.5, "tolerance": 0.02}, 0.77, 0.8, False),
        ({"at_most": 0.5, "tolerance": 0.02}, 0.31, 0.3, True),
        ({"at_least": 0.9, "tolerance": 0.02}, 0.85, 0.86, False),
        # Exactly as much worse as it may be; in binary, 0.80 - 0.81 is a little less than -0.01.
        ({"at_least": 0.5, "tolerance": 0.01}, 0.80, 0.81, True),
    ],
)
def test_gate(gate: dict[str, Any], value: float, champion: float | None, passed: bool) -> None:
    assert passes(gate, value, champion) == passed


def test_metric_that_was_not_measured_fails_its_gate() -> None:
    (result,) = gates.evaluate(gates.parse({"m": {"at_least": 0}}), {}, {"m": 1.0})
    assert not result.passed
    assert "m could not be computed" in result.reason


def test_metric_that_the_champion_has_not_is_held_to_its_bound_alone() -> None:
    assert gates.evaluate(gates.parse({"m": {"at_least": 0.5}}), {"m": 0.6}, {"other": 1.0})[0].passed


def test_reason_names_value_bound_and_champion() -> None:
    bounds = gates.parse({"low": {"at_least": 0.8}, "behind": {"at_most": 9, "tolerance": 0.5}})
    low, behind = gates.evaluate(bounds, {"low": 0.75, "behind": 4.0}, {"behind": 3.0})
    assert low.reason == "low is 0.75, but must be at least 0.8"
    assert "behind is 4, the champion has 3" in behind.reason


@pytest.mark.parametrize(
    "wrong",
    [
        {"m": {}},
        {"m": {"at_least": 0, "at_most": 1}},
        {"m": {"atleast": 0}},
        {"m": {"at_least": "much"}},
        {"m": {"at_least": 0, "tolerance": -1}},
        {"m": {"at_least": 0, "better": True}},
        {"m": {"at_least": 0, "better": 0, "tolerance": 0.1}},
        {"m": {"at_least": 0, "not_worse": 0, "confidence": 95}},
        {"m": 0.8},
        [("m", 0.8)],
    ],
)
def test_gates_that_cannot_be_read_are_named(wrong: Any) -> None:
    with pytest.raises(UserError, match=r"model/quality\.py: GATES cannot be read") as error:
        gates.parse(wrong)
    assert 'For example: GATES = {"accuracy": {"at_least": 0.8' in str(error.value)
    assert "  - :" not in str(error.value)


def test_misspelled_key_of_a_gate_is_named_with_those_there_are() -> None:
    with pytest.raises(
        UserError, match=r"  - m\.atleast: there is no such key \(did you mean 'at_least'\?\); the keys are"
    ):
        gates.parse({"m": {"atleast": 0}})


def test_no_gates_let_everything_through() -> None:
    assert gates.evaluate(gates.parse({}), {"m": 0.0}, {}) == []
