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


def test_table_colours_the_last_column_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "out", Console(highlight=False, force_terminal=True, color_system="standard"))
    console.table(["name", "result"], [["failed", "passed"], ["passed", "failed"]], {"failed": "red"})
    output = capsys.readouterr().out
    assert output.count("failed") == 2
    assert output.count("\x1b[31mfailed") == 1
