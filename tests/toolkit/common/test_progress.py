"""The progress of long work: lines where there is no terminal, a bar on one."""

import io

import pytest
from rich.console import Console
from titanic_survival.toolkit.common import console, progress


def test_meter_says_how_many_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 110.0, 200.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown: list[tuple[str, float]] = []
    meter = progress.Meter("rows", lambda text, share: shown.append((text, share)))
    meter.update(5_000, 0.0)
    meter.update(1_000_000, 0.25)
    assert shown == [
        ("5,000 rows, 500 a second", 0.0),
        ("1,005,000 rows, 10,050 a second, 5 min left", 0.25),
    ]


def test_slow_things_have_a_duration_and_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 110.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown: list[str] = []
    progress.Meter("trials", lambda text, share: shown.append(text)).update(4, 0.5, "best roc_auc 0.85")
    assert shown == ["4 trials, 2.5 s each, 10 s left; best roc_auc 0.85"]


def test_nothing_is_left_to_estimate_when_all_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 110.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown: list[str] = []
    progress.Meter("requests", lambda text, share: shown.append(text)).update(600, 1.0, "the interval is too wide")
    assert shown == ["600 requests, 60 a second; the interval is too wide"]


def test_lines_come_now_and_then_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.step("score", "rows") as step:
        for second in range(1, 41):
            now[0] = float(second)
            step.update(100, second / 40)
        step.detail = "4000 of 4000 rows"
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == "score:  38%  1,500 rows, 100 a second, 25 s left"
    assert second.startswith("score:  75%  3,000 rows")
    assert last == "✓ score       40.0 s  4000 of 4000 rows"


def test_terminal_gets_a_bar_that_is_gone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=terminal, force_terminal=True, width=100))
    with progress.step("score", "rows") as step:
        step.update(500, 0.5)
        step.update(500, 1.0)
    text = terminal.getvalue()
    assert "1,000 rows" in text
    assert "✓" in text.splitlines()[-1]
