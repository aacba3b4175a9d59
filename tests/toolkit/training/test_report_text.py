"""The report on a version: what it compares, and what it leaves out."""

import re
from typing import Any

import pytest
from titanic_survival.toolkit.training import report
from titanic_survival.toolkit.training.details import Details

SUBJECT = report.Subject(3, "It passed.", "http://mlflow.example.com/#/runs/1")


@pytest.fixture
def details() -> dict[str, Any]:
    gate = {"metric": "accuracy", "bound": "at least 0.7", "value": 0.8, "champion": 0.75}
    return {
        **{"project": "P", "description": "D", "author": "A", "by": "ada", "trained": "2026-01-01", "commit": "1f0c"},
        "metrics": {"accuracy": 0.8, "accuracy/sex/female": 0.7},
        "groups": {},
        "importance": {"age": 0.2, "fare": -0.01},
        "gates": [gate],
        "champion": 2,
        "champion_metrics": {"accuracy": 0.75, "accuracy/sex/female": 0.7},
        "data": {"digest": "d", "training_rows": 100, "holdout_rows": 20},
        **{"runtime": "onnx", "runtime_note": "", "drift": {}, "outliers": 0.0},
    }


def write(details: dict[str, Any], **changes: Any) -> str:
    return report.write(SUBJECT, Details.model_validate(details | changes))


def test_version_is_compared_with_the_champion_on_the_same_rows(details: dict[str, Any]) -> None:
    text = write(details)
    assert text.startswith("# P: version 3\n\nIt passed.\n")
    assert "| metric | version 3 | version 2 | change |" in text
    assert "| accuracy | 0.8 | 0.75 | +0.0500 |" in text
    assert "| accuracy | at least 0.7 | 0.8 | 0.75 | passed |" in text
    assert "accuracy/sex/female" not in text.partition("## Metrics")[2]
    assert 'title "bars: version 3, line: version 2"' in text
    assert "    bar [0.8000]\n    line [0.7500]\n" in text
    assert SUBJECT.run in text


def test_difference_from_the_champion_has_its_interval_and_what_it_does_not_decide(details: dict[str, Any]) -> None:
    comparison = {"better": 0.05, "low": -0.01, "high": 0.11, "rows": 20}
    text = write(details, gates=[details["gates"][0] | {"comparison": comparison}])
    assert "| gate | bound | this version | version 2 | better by (95 %) | result |" in text
    assert "| 0.75 | +0.05 (-0.01 to 0.11) | passed |\n\nMay be chance, since the interval contains 0: accuracy" in text


@pytest.mark.parametrize("champion", [None, 2])
def test_without_comparable_metrics_there_is_nothing_beside_the_version(
    champion: int | None, details: dict[str, Any]
) -> None:
    text = write(details, champion=champion, champion_metrics={})
    assert "| metric | version 3 |\n" in text
    assert "line [" not in text
    assert "evaluated on 20 hold-out rows" in text


def test_version_of_an_earlier_release_can_be_reported_on(details: dict[str, Any]) -> None:
    del details["champion"], details["champion_metrics"]
    assert "| metric | version 3 |\n" in write(details)


def test_reason_of_a_failed_gate_is_in_its_row(details: dict[str, Any]) -> None:
    gates = [details["gates"][0] | {"reason": "accuracy is 0.8, but must be at least 0.9"}]
    assert "| accuracy is 0.8, but must be at least 0.9 |" in write(details, gates=gates)
    assert "None are set." in write(details, gates=[])


def test_metrics_of_another_scale_are_in_the_table_and_not_in_the_chart(details: dict[str, Any]) -> None:
    text = write(details, metrics={"rmse": 55.0, "r2": 0.4}, champion_metrics={"rmse": 54.0, "r2": 0.3})
    assert "| rmse | 55 | 54 | +1.0000 |" in text
    assert 'x-axis ["r2"]' in text


def test_names_cannot_break_table_or_chart(details: dict[str, Any]) -> None:
    text = write(details, importance={'a "quoted" ```\n| name': 0.2})
    assert "x-axis [\"a 'quoted' ''' | name\"]" in text
    assert "\\|" in write(details, metrics={"a|b": 0.5})
    assert re.findall("^```(.*)$", text, re.MULTILINE) == ["mermaid", "", "mermaid", ""]


def test_features_without_importance_have_no_chart(details: dict[str, Any]) -> None:
    for importance in ({}, {"age": 0.0, "fare": -0.1}):
        assert "importance" not in write(details, importance=importance)


def test_plots_of_both_versions_stand_side_by_side() -> None:
    text = report.pictures([3, 2], ["roc.png"])
    assert "| ![roc.png](plots/3/roc.png) | ![roc.png](plots/2/roc.png) |" in text
