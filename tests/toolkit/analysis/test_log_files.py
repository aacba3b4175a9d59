"""The files of the prediction log and of the feedback log: what is in them is read, and what cannot be is said."""

import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from titanic_survival.toolkit.analysis import log_blocks, log_files
from titanic_survival.toolkit.analysis.log_blocks import LogBlock, read_blocks
from titanic_survival.toolkit.analysis.log_files import ReadProblems, find, read_lines
from titanic_survival.toolkit.batch.locations import locate

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def line(ids: list[str], version: int = 1, *, shadow: bool = False, hour: int = 0, **changes: Any) -> str:
    """Return a line of the prediction log."""
    content = {
        "version": version,
        "shadow": shadow,
        "time": [f"2026-01-01T{hour:02}:00:00.500000+00:00" for _ in ids],
        "id": ids,
        "keys": [None, "somebody"],
        "key": [i % 2 for i in range(len(ids))],
        "inputs": {"age": list(range(len(ids)))},
        "outputs": {"survived": [True for _ in ids]},
    }
    return json.dumps(content | changes) + "\n"


def read(folder: Path, problems: ReadProblems | None = None) -> list[LogBlock]:
    problems = ReadProblems() if problems is None else problems
    files = find(locate(str(folder)), log_files.PREDICTIONS, LONG_AGO)
    return [block for file in files for block in read_blocks(file, problems)]


def test_rows_of_many_lines_come_in_one_block_of_each_version(tmp_path: Path) -> None:
    lines = [line(["a", "b"]), line(["s"], 2, shadow=True), line(["c"], hour=3), line(["d"], 2)]
    (tmp_path / "predictions-1.jsonl").write_text("".join(lines))
    first, shadow, champion = read(tmp_path)
    assert (first.version, first.shadow, first.ids) == (1, False, ["a", "b", "c"])
    assert (first.keys, first.inputs, first.outputs["survived"]) == (
        [None, "somebody", None],
        {"age": [0, 1, 0]},
        [True] * 3,
    )
    assert first.time.tolist() == [datetime(2026, 1, 1, hour, 0, 0, 500_000) for hour in (0, 0, 3)]
    assert (shadow.version, shadow.shadow, shadow.ids) == (2, True, ["s"])
    assert (champion.version, champion.shadow, champion.ids) == (2, False, ["d"])


def test_blocks_stay_small_however_many_lines_and_versions_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_blocks, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(log_blocks, "BLOCKS_WAITING", 2.5)
    with (tmp_path / "predictions-1.jsonl").open("w") as file:
        file.writelines(line([f"{i}", f"{i}-"], version=1 + i % 5) for i in range(200))
    blocks = read(tmp_path)
    assert max(len(block.ids) for block in blocks) <= 10
    assert sorted(name for block in blocks for name in block.ids) == sorted(
        name for i in range(200) for name in (f"{i}", f"{i}-")
    )


@pytest.mark.parametrize("versions", [1, 50])
def test_blocks_of_long_rows_have_fewer(versions: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_blocks, "BYTES_AT_ONCE", 10_000)
    with (tmp_path / "predictions-1.jsonl").open("w") as file:
        file.writelines(line([f"{i}"], 1 + i % versions, inputs={"note": ["x" * 3000]}) for i in range(100))
    files, problems = find(locate(str(tmp_path)), log_files.PREDICTIONS, LONG_AGO), ReadProblems()
    tracemalloc.start()
    rows = [len(block.ids) for block in read_blocks(files[0], problems)]
    peak = tracemalloc.get_traced_memory()[1] - log_files.BUFFER_BYTES
    tracemalloc.stop()
    assert (sum(rows), max(rows)) == (100, 4 if versions == 1 else 1)
    assert peak < 150_000 < 100 * 3000


def test_endless_line_is_left_out_and_not_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(log_files.MOST_BYTES, log_files.PREDICTIONS, 100_000)
    for end in ("\n", ""):
        long = '{"version": 1, "shadow": ' + "[" * 20_000_000 + end
        (tmp_path / "predictions-1.jsonl").write_text(line(["a"]) + long + (line(["b"]) if end else ""))
        problems = ReadProblems()
        tracemalloc.start()
        (block,) = read(tmp_path, problems)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert block.ids == (["a", "b"] if end else ["a"])
        assert peak < 5_000_000
        assert problems.notes() == [
            f"1 line is left out of {tmp_path}/predictions-1.jsonl, too long: the most is 32 MB, of a label 50 kB."
        ]


def test_line_of_the_most_bytes_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = line(["a"])
    (tmp_path / "predictions-1.jsonl").write_text(whole + line(["bb"]) + whole)
    monkeypatch.setitem(log_files.MOST_BYTES, log_files.PREDICTIONS, len(whole))
    problems = ReadProblems()
    assert [block.ids for block in read(tmp_path, problems)] == [["a", "a"]]
    assert problems.long.total() == 1


def test_lines_with_other_fields_are_no_part_of_the_same_block(tmp_path: Path) -> None:
    (tmp_path / "predictions-1.jsonl").write_text(line(["a"]) + line(["b"], inputs={"fare": [1]}))
    assert [block.inputs for block in read(tmp_path)] == [{"age": [0]}, {"fare": [1]}]


@pytest.mark.parametrize(
    "damage",
    [
        "{]\n",
        "[1]\n",
        "\x00\xff\n",
        line(["a"], inputs={"age": [1, 2]}),
        line(["a"], key=[7]),
        line(["a"], id="a"),
        line(["a"], version="1"),
        line(["a"], time=[5]),
        line(["a"], outputs=3),
        line(["a"], id=[]),
        line(["a"], key=[[0]]),
        line(["a"], key=[-1]),
        line(["a", "b"], id=["a", 5]),
        line(["a"], keys=[{}]),
        line(["a"], version=True),
    ],
)
def test_damaged_line_is_left_out_and_said(damage: str, tmp_path: Path) -> None:
    (tmp_path / "predictions-1.jsonl").write_text(line(["a"]) + damage + "\n" + line(["b"]))
    problems = ReadProblems()
    assert [block.ids for block in read(tmp_path, problems)] == [["a", "b"]]
    (note,) = problems.notes()
    assert "1 damaged line" in note and "predictions-1.jsonl" in note


def test_incomplete_last_line_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "predictions-1.jsonl").write_text(line(["a"]) + line(["b"])[:40])
    (tmp_path / "predictions-2.jsonl").write_text(line(["c"]).rstrip("\n"))  # complete but for the end of the line
    problems = ReadProblems()
    assert [block.ids for block in read(tmp_path, problems)] == [["a"], ["c"]]
    (note,) = problems.notes()
    assert "predictions-1.jsonl" in note and "incomplete" in note and "predictions-2" not in note


def test_file_that_is_removed_meanwhile_is_said(tmp_path: Path) -> None:
    for i in (1, 2):
        (tmp_path / f"predictions-{i}.jsonl").write_text(line([str(i)]))
    files = find(locate(str(tmp_path)), log_files.PREDICTIONS, LONG_AGO)
    (tmp_path / "predictions-1.jsonl").unlink()
    problems = ReadProblems()
    assert [block.ids for file in files for block in read_blocks(file, problems)] == [["2"]]
    assert "Removed before it could be read: " in problems.notes()[0]


def test_files_of_a_log_are_found_in_folders_of_replicas_unless_they_are_old(tmp_path: Path) -> None:
    for path in ("predictions-1.jsonl", "pod-a/predictions-2.jsonl", "feedback-3.jsonl", "predictions-4.csv"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("{}\n")
    folder = locate(str(tmp_path))
    found = [file.address for file in find(folder, log_files.PREDICTIONS, LONG_AGO)]
    assert found == [f"{tmp_path}/pod-a/predictions-2.jsonl", f"{tmp_path}/predictions-1.jsonl"]
    assert [file.size for file in find(folder, log_files.FEEDBACK, LONG_AGO)] == [3]
    assert find(folder, log_files.PREDICTIONS, datetime.now(UTC) + timedelta(hours=1)) == []
    assert find(locate(str(tmp_path / "missing")), log_files.PREDICTIONS, LONG_AGO) == []


def test_lines_of_feedback_are_read(tmp_path: Path) -> None:
    (tmp_path / "feedback-1.jsonl").write_text('{"id": "a", "survived": true}\n\n{"id": "b", "survived": false}\n')
    (file,) = find(locate(str(tmp_path)), log_files.FEEDBACK, LONG_AGO)
    problems = ReadProblems()
    assert [found.content["id"] for found in read_lines(file, problems)] == ["a", "b"]
    assert problems.notes() == []


def test_times_are_read_in_any_offset() -> None:
    texts = ["2026-01-01T00:00:00+00:00", "2026-01-01T01:00:00.25+01:00", "2026-01-01T00:00:00", "soon"]
    found = log_files.times(texts)
    assert found.dtype == np.dtype("datetime64[us]")
    assert found[:3].tolist() == [
        datetime(2026, 1, 1),
        datetime(2026, 1, 1, 0, 0, 0, 250_000),
        datetime(2026, 1, 1),
    ]
    assert np.isnat(found[3])
