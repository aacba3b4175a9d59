"""The log's files, and lines that cannot be written to the disk."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from titanic_survival.toolkit.monitoring import metrics, prediction_log
from titanic_survival.toolkit.monitoring.prediction_log import LogFile, PredictionLog


def read(folder: Path) -> list[str]:
    return [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def counted() -> tuple[float, float]:
    return metrics.LOGGED_ROWS._value.get(), metrics.DROPPED_ROWS.labels("refused")._value.get()


def test_lines_are_on_the_disk_when_append_returns(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", "rows", 10**9)
    for line in (b"1\n", b"2\n3\n"):
        file.append(line)
    assert read(tmp_path / "log") == ["1", "2", "3"]


def test_full_file_is_left_for_another_and_the_oldest_go(tmp_path: Path) -> None:
    file = LogFile(tmp_path, "rows", 100, file_bytes=20)
    for number in range(100, 150):
        file.append(b"%d 56789\n" % number)
    lines = read(tmp_path)
    assert 80 <= sum(map(len, lines)) <= 100
    assert sorted(lines)[-1] == "149 56789"
    assert all(path.stat().st_size <= 20 for path in tmp_path.iterdir())


def test_lines_larger_than_a_file_do_not_cost_those_before(tmp_path: Path) -> None:
    file = LogFile(tmp_path, "rows", 100, file_bytes=20)
    file.append(b"earlier\n")
    with pytest.raises(OSError, match="at once"):
        file.append(b"x" * 90 + b"\n")
    file.append(b"later\n")
    assert read(tmp_path) == ["earlier", "later"]


def test_files_of_another_kind_stay(tmp_path: Path) -> None:
    other = tmp_path / "feedback-1.jsonl"
    other.write_text("labels\n" * 100)
    file = LogFile(tmp_path, "rows", 30, file_bytes=10)
    for _ in range(20):
        file.append(b"12345678\n")
    assert other.exists()


def test_file_that_was_removed_is_not_written_to_unseen(tmp_path: Path) -> None:
    file = LogFile(tmp_path, "rows", 10**9)
    file.append(b"1\n")
    for path in tmp_path.iterdir():
        path.unlink()
    file.append(b"2\n")
    assert read(tmp_path) == ["2"]


def test_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
from {prediction_log.__name__} import LogFile
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
file = LogFile(Path({str(tmp_path)!r}), "rows", 10**9)
file.append(b"a" * 59 + b"\\n")
try:
    file.append(b"b" * 59 + b"\\n")
except OSError:
    file.append(b"c" * 19 + b"\\n")
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(prediction_log.__file__).parents[2], timeout=60)
    assert read(tmp_path) == ["a" * 59, "c" * 19]


def test_dropped_rows_are_counted_and_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write = os.write

    def fail(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    before = counted()
    predictions = PredictionLog(LogFile(tmp_path, "rows", 10**9))
    for full in (True, False):
        monkeypatch.setattr(os, "write", fail if full else write)
        for number in range(3):
            predictions.put(json.dumps([full, number]).encode() + b"\n", 10)
        predictions.close()
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [30, 30]
    assert [json.loads(line) for line in read(tmp_path)] == [[False, number] for number in range(3)]
    messages = [record.message for record in caplog.records]
    assert len(messages) == 2
    assert "No space left" in messages[0]
    assert "again" in messages[1]


def test_disk_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    file = LogFile(tmp_path, "rows", 10**9)
    append = file.append
    monkeypatch.setattr(file, "append", lambda lines: hangs.wait(60) and append(lines))
    dropped = metrics.DROPPED_ROWS.labels("behind")
    before = dropped._value.get()
    predictions = PredictionLog(file)
    for _ in range(prediction_log.MAX_QUEUED_BLOCKS + 50):
        predictions.put(b"1\n", 1)
    assert 40 <= dropped._value.get() - before <= 50
    hangs.set()
    predictions.close()
    assert len(read(tmp_path)) >= prediction_log.MAX_QUEUED_BLOCKS


def test_queue_is_bounded_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    file = LogFile(tmp_path, "rows", 10**9)
    append = file.append
    monkeypatch.setattr(file, "append", lambda lines: hangs.wait(60) and append(lines))
    monkeypatch.setattr(prediction_log, "MAX_QUEUED_BYTES", 10_000)
    dropped = metrics.DROPPED_ROWS.labels("behind")
    before = dropped._value.get()
    predictions = PredictionLog(file)
    for _ in range(50):
        predictions.put(b"x" * 999 + b"\n", 1)
    assert 38 <= dropped._value.get() - before <= 40
    hangs.set()
    predictions.close()
    predictions.put(b"y\n", 1)
    predictions.close()
    assert read(tmp_path)[-1] == "y"


def test_folder_that_cannot_be_made_drops_and_counts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    before = counted()
    predictions = PredictionLog(LogFile(tmp_path / "file" / "log", "rows", 10**9))
    predictions.put(b"1\n", 1)
    predictions.close()
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [0, 1]
