"""What is counted of a log: the same bins as in the service and in batch jobs, in the window, with their labels."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from titanic_survival.model import data
from titanic_survival.toolkit.analysis import log_counts, log_files, outlier_rows
from titanic_survival.toolkit.analysis.log_counts import LogCounts, count_log
from titanic_survival.toolkit.analysis.summarize import notes
from titanic_survival.toolkit.analysis.window import Window
from titanic_survival.toolkit.batch.locations import locate
from titanic_survival.toolkit.common.names import GOLDEN_KEY
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import Columns, take
from titanic_survival.toolkit.monitoring.bin_counts import BinCounts
from titanic_survival.toolkit.version.artifact import Artifact

Write = Callable[..., Any]
NOW = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)
WINDOW = Window.of(NOW, 1)


@pytest.fixture(scope="module")
def columns(version: Artifact) -> Columns:
    """Return the columns of all rows of the data."""
    return dataframes.check_features(data.load(), version.contract).columns


def count(folder: Path, version: Artifact, *numbers: int, groups: tuple[str, ...] = ()) -> LogCounts:
    """Return what is counted of a log, where some numbers of versions are known: all are those of one version."""
    known = numbers or (1,)
    return count_log(locate(str(folder)), WINDOW, lambda n: version.folder if n in known else None, groups)


@pytest.mark.parametrize("in_processes", [False, True])
def test_rows_are_counted_in_the_bins_of_the_service(
    in_processes: bool,
    version: Artifact,
    columns: Columns,
    write_log: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if in_processes:
        monkeypatch.setattr(log_counts, "BYTES_OF_ONE_PROCESS", 0)
        monkeypatch.setattr(log_counts, "processors", lambda: 2)
    parts = [take(columns, slice(start, None, 3)) for start in range(3)]
    for part in parts:
        write_log(tmp_path, version, part, time=NOW, hours=20)
    found = count(tmp_path, version).versions[1]
    whole = BinCounts.of(version.profile, columns, version.runtime.score(columns))
    assert found.bins_of(range(WINDOW.intervals)).as_json() == whole.as_json()
    assert found.rows.total() == whole.rows == len(data.load())
    assert len(found.rows) > 20  # over the hours
    assert (found.shadow.total(), found.misfits, found.labelled) == (0, 0, [])


def test_rows_outside_of_the_window_do_not_count(
    version: Artifact, columns: Columns, write_log: Write, tmp_path: Path
) -> None:
    some = take(columns, slice(100))
    write_log(tmp_path, version, some, time=NOW - timedelta(days=3))
    write_log(tmp_path, version, some, time=NOW, hours=48)
    found = count(tmp_path, version).versions[1]
    inside = 100 - np.searchsorted(np.linspace(-48, 0, 100), (WINDOW.start - NOW).total_seconds() / 3600)
    assert found.rows.total() == found.bins_of(range(WINDOW.intervals)).rows == inside


def test_rows_of_golden_requests_are_left_out_and_said(
    version: Artifact, columns: Columns, write_log: Write, write_labels: Callable[..., None], tmp_path: Path
) -> None:
    some = take(columns, slice(40))
    write_log(tmp_path, version, some, time=NOW)
    logged = write_log(tmp_path, version, some, time=NOW, hours=48, key=GOLDEN_KEY)
    write_log(tmp_path, version, some, 2, time=NOW, key=GOLDEN_KEY)
    write_labels(tmp_path, "survived", logged.ids, [True] * 40)
    found = count(tmp_path, version, 1, 2)
    assert {number: one.rows.total() for number, one in found.versions.items()} == {1: 40, 2: 0}
    assert found.versions[1].bins_of(range(WINDOW.intervals)).rows == 40
    assert found.versions[1].labelled == []
    inside = found.versions[1].golden
    assert 15 < inside < 25  # of the last day
    assert found.versions[2].golden == 40
    assert any(note.startswith(f"{inside + 40} rows of golden requests are left out") for note in notes(found))


def test_rows_of_a_clock_that_is_ahead_are_left_out_and_said(
    version: Artifact, columns: Columns, write_log: Write, tmp_path: Path
) -> None:
    write_log(tmp_path, version, take(columns, slice(30)), time=NOW)
    write_log(tmp_path, version, take(columns, slice(7)), time=NOW + timedelta(hours=9))
    (damaged,) = tmp_path.glob("*-1.jsonl")
    damaged.write_text(damaged.read_text().replace('"time":["2026', '"time":["soon', 1))
    found = count(tmp_path, version)
    assert (found.versions[1].rows.total(), found.versions[1].late) == (30, 7)
    (note,) = notes(found)
    assert note.startswith("7 rows are left out, with a time in the future or none that can be read: ")


def test_rarest_rows_are_kept_with_what_they_are(
    version: Artifact, columns: Columns, write_log: Write, tmp_path: Path
) -> None:
    odd = take(columns, slice(300))
    odd["fare"] = odd["fare"].copy()
    odd["fare"][7] = 999
    logged = write_log(tmp_path, version, odd, time=NOW)
    rarest, *others = count(tmp_path, version).versions[1].rare
    assert (rarest.id, rarest.inputs["fare"]) == (logged.ids[7], 999)
    assert rarest.outputs["survived"] == bool(logged.predictions["survived"][7])
    assert all(version.profile.outliers.threshold < row.score <= rarest.score for row in others)


def test_labels_join_the_rows_of_every_version_that_answered_or_shadowed(
    version: Artifact,
    columns: Columns,
    write_log: Write,
    write_labels: Callable[..., None],
    tmp_path: Path,
) -> None:
    some = take(columns, slice(50))
    champion = write_log(tmp_path, version, some, time=NOW)
    write_log(tmp_path, version, some, 2, time=NOW, shadow_of=champion)
    write_labels(tmp_path, "survived", [*champion.ids[:20], "0" * 40], [True] * 21)
    found = count(tmp_path, version, 1, 2, groups=("sex", "no field"))
    for number in (1, 2):
        rows = found.versions[number].labelled_rows()
        assert rows is not None
        assert sorted(rows.numbers) == sorted(found.labels.numbers[found.labels.positions(rows.numbers)])
        assert (len(rows.numbers), list(rows.groups)) == (20, ["sex"])
        order = np.argsort(rows.outputs["probability"])
        expected = np.sort(champion.predictions["probability"][:20])
        assert rows.outputs["probability"][order] == pytest.approx(expected)
    assert (found.versions[1].shadow.total(), found.versions[2].shadow.total()) == (0, 50)


def test_prediction_that_was_logged_twice_has_one_label(
    version: Artifact,
    columns: Columns,
    write_log: Write,
    write_labels: Callable[..., None],
    tmp_path: Path,
) -> None:
    logged = write_log(tmp_path, version, take(columns, slice(30)), time=NOW)
    (file,) = tmp_path.glob("predictions-*")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    write_labels(tmp_path, "survived", logged.ids, [True] * 30)
    rows = count(tmp_path, version).versions[1].labelled_rows()
    assert rows is not None and len(rows.numbers) == 30


@pytest.mark.parametrize("in_processes", [False, True])
def test_version_that_comes_late_in_a_file_is_counted_once(
    in_processes: bool,
    version: Artifact,
    columns: Columns,
    write_log: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if in_processes:
        monkeypatch.setattr(log_counts, "BYTES_OF_ONE_PROCESS", 0)
        monkeypatch.setattr(log_counts, "processors", lambda: 2)
    some = take(columns, slice(40))
    for number in (1, 2, 3):
        write_log(tmp_path, version, some, number, time=NOW)
    files = sorted(tmp_path.glob("predictions-*"))
    files[0].write_bytes(b"".join(file.read_bytes() for file in files))
    for file in files[1:]:
        file.unlink()
    asked: list[int] = []

    def folder_of(number: int) -> Path | None:
        asked.append(number)
        return None if number == 3 else version.folder

    rows: list[int] = []
    found = count_log(locate(str(tmp_path)), WINDOW, folder_of, (), lambda new, share: rows.append(new)).versions
    assert sorted(asked) == [1, 2, 3]
    assert {number: (counts.rows.total(), counts.has_bins) for number, counts in found.items()} == {
        1: (40, True),
        2: (40, True),
        3: (40, False),
    }
    assert found[2].bins_of(range(WINDOW.intervals)).rows == 40
    assert sum(rows) == 120


def test_rows_of_another_model_count_as_traffic(
    version: Artifact, columns: Columns, write_log: Write, tmp_path: Path
) -> None:
    write_log(tmp_path, version, take(columns, slice(40)), time=NOW)
    (file,) = tmp_path.glob("predictions-*")
    text = file.read_text()
    file.write_text(text + text.replace('"fare":', '"price":') + text.replace('"sex":["', '"sex":[["x"],"', 1))
    found = count(tmp_path, version)
    assert (found.versions[1].misfits, found.versions[1].bins_of(range(WINDOW.intervals)).rows) == (40, 40)
    assert found.problems.notes() == [f"1 damaged line is left out of {file}."]


@pytest.mark.parametrize(
    ("name", "part", "value"),
    [("age", "inputs", "old"), ("sex", "inputs", {}), ("fare", "inputs", [1, 2]), ("probability", "outputs", [])],
)
def test_row_that_does_not_fit_costs_the_others_nothing(
    name: str, part: str, value: Any, version: Artifact, columns: Columns, write_log: Write, tmp_path: Path
) -> None:
    write_log(tmp_path, version, take(columns, slice(40)), time=NOW)
    (file,) = tmp_path.glob("predictions-*")
    first, *others = file.read_text().splitlines()
    content = json.loads(first)
    content[part][name][0] = value
    file.write_text("\n".join([json.dumps(content), *others, first]) + "\n")
    found = count(tmp_path, version).versions[1]
    rows = found.rows.total()
    assert (found.misfits, found.bins_of(range(WINDOW.intervals)).rows) == (1, rows - 1)
    assert rows > 40


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [1e39, -1e300])
def test_number_that_no_float32_has_is_an_outlier_without_a_warning(
    number: float, version: Artifact, columns: Columns, write_log: Write, tmp_path: Path
) -> None:
    write_log(tmp_path, version, take(columns, slice(40)), time=NOW)
    (file,) = tmp_path.glob("predictions-*")
    content = json.loads(file.read_text())
    content["inputs"]["fare"][3] = number
    content["outputs"]["probability"][3] = number
    file.write_text(json.dumps(content) + "\n")
    found = count(tmp_path, version).versions[1]
    assert (found.misfits, found.bins_of(range(WINDOW.intervals)).rows) == (0, 40)
    (rarest, *_) = outlier_rows.of(found.rare, version.contract, WINDOW, range(WINDOW.intervals))
    assert rarest.inputs["fare"] is None or abs(rarest.inputs["fare"]) > 1e38


def test_log_that_is_removed_meanwhile_is_said(
    version: Artifact, columns: Columns, write_log: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        write_log(tmp_path, version, take(columns, slice(40)), time=NOW)
    find = log_files.find

    def find_and_remove(*arguments: Any) -> Any:
        found = find(*arguments)
        for file in found[:1]:
            Path(file.path).unlink()
        return found

    monkeypatch.setattr(log_files, "find", find_and_remove)
    found = count(tmp_path, version)
    assert found.versions[1].rows.total() == 40
    assert "Removed before it could be read" in found.problems.notes()[0]


def test_empty_folder_has_nothing(version: Artifact, tmp_path: Path) -> None:
    found = count(tmp_path, version)
    assert (found.versions, len(found.labels.numbers), found.problems.notes()) == ({}, 0, [])
