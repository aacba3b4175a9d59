"""Output on the terminal: text is printed as it is, whatever it contains."""

import pytest
from rich.console import Console
from titanic_survival.toolkit.common import console

ROWS = [["accuracy/x/[a]", "[red]0.8[/]", "failed"], ["[bold]", "0.9", "passed"]]


def test_table_prints_brackets_of_cells_and_headings(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(["[metric]", "value", ""], ROWS, {"failed": "red"})
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split() == ["[metric]", "value"]
    assert first.split() == ROWS[0]
    assert second.split() == ROWS[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min"), (125, "2 min 5 s"), (3600, "1 h"), (3 * 3600 + 61, "3 h 1 min"), (7205, "2 h")],
)
def test_duration_is_readable(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


def test_step_shows_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    for seconds in (0.04, 37.6, 608.0):
        console.done("10 %", seconds, "go on")
    assert capsys.readouterr().out.splitlines() == [
        "✓ 10 %         0.0 s  go on",
        "✓ 10 %        37.6 s  go on",
        "✓ 10 %       10 min 8 s  go on",
    ]


def test_table_colours_the_last_column_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "out", Console(highlight=False, force_terminal=True, color_system="standard"))
    console.table(["name", "result"], [["failed", "passed"], ["passed", "failed"]], {"failed": "red"})
    output = capsys.readouterr().out
    assert output.count("failed") == 2
    assert output.count("\x1b[31mfailed") == 1
