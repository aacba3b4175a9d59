"""Folders of files: each has its output, what was interrupted goes on, and nothing is lost or doubled."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from titanic_survival.toolkit.batch import formats, job, parts
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.version.artifact import Artifact

ScoreFiles = Callable[..., job.Result]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a folder of files, in folders, in several formats."""
    folder = tmp_path / "in"
    for day, name in (("2026-01-01", "a.csv"), ("2026-01-01", "b.csv.gz"), ("2026-01-02", "a.csv.zst")):
        (folder / day).mkdir(parents=True, exist_ok=True)
        table = pa.table({"amount": ["1", "-1", "2"], "code": ["8", "8", "007"], "from": [f"{day}/{name}"] * 3})
        with pa.output_stream(str(folder / day / name), compression="detect") as stream:
            pa.csv.write_csv(table, stream)
    (folder / "_ignored").mkdir()
    (folder / "_ignored" / "c.csv").write_text("nonsense")
    (folder / "README.md").write_text("nonsense")
    return folder


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with pa.input_stream(str(path), compression="detect") as stream:
        return pa.csv.read_csv(stream).to_pylist()


def test_each_file_gets_an_output_of_its_own_format(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    result = score_files(double, 3, source, output)
    assert result.counts[:2] == (9, 3)
    names = ["2026-01-01/a", "2026-01-01/b", "2026-01-02/a"]
    outputs = [name + format for name, format in zip(names, (".csv", ".csv.gz", ".csv.zst"), strict=True)]
    about = [f"_parts/{name}.json" for name in (*names, "_job")] + [f"_rejects/{name}.csv" for name in names]
    assert files(output) == sorted([*outputs, *about, "_SUCCESS"])
    for name in outputs:
        assert [(row["from"], row["answer"]) for row in rows(output / name)] == [(name, 2), (name, 4)]
    (reject,) = rows(output / "_rejects" / "2026-01-01" / "b.csv")
    assert (reject["file"], reject["row"]) == (f"{source}/2026-01-01/b.csv.gz", 1)
    assert (reject["column"], reject["value"]) == ("amount", "'-1'")
    summary = json.loads((output / "_SUCCESS").read_text())
    assert (summary["version"], summary["rows"], summary["rejected"]) == (3, 9, 3)


def test_format_of_the_outputs_can_be_chosen(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    score_files(double, 3, source / "*" / "a*", tmp_path / "out" / "*.parquet")
    outputs = sorted((tmp_path / "out").rglob("*.parquet"))
    assert [str(path.relative_to(tmp_path / "out")) for path in outputs] == [
        "2026-01-01/a.parquet",
        "2026-01-02/a.parquet",
    ]
    assert rows(outputs[1])[0]["from"] == "2026-01-02/a.csv.zst"
    assert len(pq.read_table(tmp_path / "out")) == 4, "what is no output has a name that readers of folders ignore"


def test_many_files_become_one(score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path) -> None:
    result = score_files(double, 3, source / "**" / "*", tmp_path / "out.csv.gz")
    assert result.counts[:2] == (9, 3)
    assert [row["from"][:12] for row in rows(tmp_path / "out.csv.gz")] == [
        *["2026-01-01/a"] * 2,
        *["2026-01-01/b"] * 2,
        *["2026-01-02/a"] * 2,
    ]
    rejected = rows(tmp_path / "out.rejects.csv")
    assert [(row["file"].rpartition("/")[2], row["row"]) for row in rejected] == [
        ("a.csv", 1),
        ("b.csv.gz", 1),
        ("a.csv.zst", 1),
    ]


def test_files_of_one_output_must_be_alike(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    (source / "z.csv").write_text("amount\n1\n")
    with pytest.raises(UserError, match=r"z\.csv has other columns, or types, than .*a\.csv: amount \(string\)"):
        score_files(double, 3, source, tmp_path / "out.csv")
    assert score_files(double, 3, source, tmp_path / "out").counts.rows == 10


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"nothing\n1\n", "amount: the column is missing"),
        (b"\x89", "cannot be read as parquet"),
        (pa.table({"amount": pa.array([1], pa.date32())}), "amount: the column's type is date32"),
    ],
)
def test_nothing_is_written_if_one_file_cannot_be_scored(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path, content: Any, said: str
) -> None:
    broken = source / ("z.csv" if content == b"nothing\n1\n" else "z.parquet")
    broken.write_bytes(content) if isinstance(content, bytes) else pq.write_table(content, broken)
    with pytest.raises(UserError, match=said) as error:
        score_files(double, 3, source, tmp_path / "out")
    assert str(broken) in str(error.value)
    assert not (tmp_path / "out").exists()


def test_large_parquet_file_is_scored_in_parts_of_whole_row_groups(
    score_files: ScoreFiles, double: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 250)
    (tmp_path / "in").mkdir()
    amounts = [*range(1000), -1]
    pq.write_table(pa.table({"amount": amounts}), tmp_path / "in" / "a.parquet", row_group_size=100)
    score_files(double, 3, tmp_path / "in", tmp_path / "out")
    outputs = sorted((tmp_path / "out").glob("*.parquet"))
    assert [path.name for path in outputs] == [f"a-0000{i}.parquet" for i in range(5)]
    assert [row["answer"] for path in outputs for row in rows(path)] == [2 * amount for amount in amounts[:-1]]
    (reject,) = rows(tmp_path / "out" / "_rejects" / "a-00004.csv")
    assert reject["row"] == 1000, "the position in the file"
    # One file has them all in their order.
    score_files(double, 3, tmp_path / "in", tmp_path / "out.parquet")
    assert [row["answer"] for row in rows(tmp_path / "out.parquet")] == [2 * amount for amount in amounts[:-1]]


def test_job_goes_on_with_what_is_missing(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    score_files(double, 3, source, output)
    (output / "_SUCCESS").unlink()
    (output / "2026-01-01" / "b.csv.gz").unlink()  # its output is gone
    (output / "_parts" / "2026-01-02" / "a.json").unlink()  # not known to be done
    before = (output / "2026-01-01" / "a.csv").read_text()
    result = score_files(double, 4, source, output, resume=True)
    assert (result.resumed, *result.counts[:2]) == (1, 9, 3)
    assert (output / "2026-01-01" / "a.csv").read_text() == before
    assert {row["version"] for row in rows(output / "2026-01-01" / "b.csv.gz")} == {4}
    assert (output / "_SUCCESS").exists()
    assert score_files(double, 5, source, output).resumed == 0


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"digest": "the version\'s digest", "part": 1}'])
def test_part_whose_record_is_damaged_is_done_again(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path, damage: str
) -> None:
    score_files(double, 3, source, tmp_path / "out")
    (tmp_path / "out" / "_parts" / "2026-01-01" / "a.json").write_text(damage)
    assert score_files(double, 3, source, tmp_path / "out", resume=True).resumed == 2


def test_changed_input_is_scored_again(score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path) -> None:
    score_files(double, 3, source, tmp_path / "out")
    (source / "2026-01-01" / "a.csv").write_text("amount,code,from\n5,8,new\n")
    assert score_files(double, 3, source, tmp_path / "out", resume=True).counts[:2] == (7, 2)
    assert [row["answer"] for row in rows(tmp_path / "out" / "2026-01-01" / "a.csv")] == [10]


def test_outputs_of_files_that_are_gone_go_too(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    score_files(double, 3, source, tmp_path / "out")
    (source / "2026-01-02" / "a.csv.zst").unlink()
    (tmp_path / "out" / "mine.txt").write_text("stays")
    score_files(double, 3, source, tmp_path / "out")
    assert not [name for name in files(tmp_path / "out") if "2026-01-02" in name]
    assert (tmp_path / "out" / "mine.txt").exists()


def test_folder_of_somebody_else_is_left_alone(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="has files that no job has written, such as mine"):
        score_files(double, 3, source, tmp_path / "out")
    assert files(tmp_path / "out") == ["mine.txt"]


def test_folder_of_another_input_is_kept(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    score_files(double, 3, source, tmp_path / "out")
    before = files(tmp_path / "out")
    for resume in (False, True):
        with pytest.raises(UserError, match=r"has what was scored of .*/in, which would be removed"):
            score_files(double, 3, source / "2026-01-01", tmp_path / "out", resume=resume)
    assert files(tmp_path / "out") == before
    assert score_files(double, 3, f"{source}/", tmp_path / "out", resume=True).resumed == 3


@pytest.mark.parametrize("output", ["out", "out.csv"])
def test_input_that_changes_while_it_is_read_is_named(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path, output: str
) -> None:
    changed = source / "2026-01-01" / "a.csv"

    def meanwhile(rows: int, share: float) -> None:
        changed.write_text(changed.read_text() + "7,8,later\n")

    with pytest.raises(UserError, match=r"a\.csv has changed while it was read"):
        score_files(double, 3, source, tmp_path / output, progress=meanwhile)
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "out" / "2026-01-01" / "a.csv").exists()


def test_two_inputs_with_one_output_are_named(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    (source / "a.csv").write_text("amount\n1\n")
    pq.write_table(pa.table({"amount": [1.0]}), source / "a.parquet")
    with pytest.raises(UserError, match=r"a\.csv and .*a\.parquet would both be scored into .*a\.parquet"):
        score_files(double, 3, source, tmp_path / "out" / "*.parquet")


def test_two_jobs_do_not_write_into_one_folder(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    tried = []

    def meanwhile(rows: int, share: float) -> None:
        with pytest.raises(UserError, match="another job is writing there"):
            score_files(double, 3, source, tmp_path / "out")
        tried.append(share)

    score_files(double, 3, source, tmp_path / "out", progress=meanwhile)
    assert tried
    assert tried == sorted(tried)
    assert 0 < tried[0] < tried[-1] == 1


def test_too_many_rejected_rows_fail_a_job_that_keeps_the_reasons(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    said = "3 of 9 rows were rejected, more than MAX_REJECTS=0.3 allows"
    (tmp_path / "out.csv").write_text("before")
    with pytest.raises(job.TooManyRejectsError, match=rf"{said}; .*/out\.rejects\.csv has the reasons"):
        score_files(double, 3, source, tmp_path / "out.csv", max_rejects=0.3)
    assert (tmp_path / "out.csv").read_text() == "before"
    assert len(rows(tmp_path / "out.rejects.csv")) == 3
    with pytest.raises(job.TooManyRejectsError, match=said):
        score_files(double, 3, source, tmp_path / "out", max_rejects=0.3)
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    assert score_files(double, 3, source, tmp_path / "out", max_rejects=0.4, resume=True).resumed == 3


def test_job_ends_as_soon_as_too_many_rows_are_certain(
    score_files: ScoreFiles, double: Artifact, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"amount": [-1.0] * 400_000}), tmp_path / "in.parquet")
    with pytest.raises(job.TooManyRejectsError, match=r"50000 of 50000 rows so far were rejected"):
        score_files(double, 3, tmp_path / "in.parquet", tmp_path / "out.csv", max_rejects=0.1)


#: Scores a folder as a process of its own: version's folder, input, output, and whether it goes on.
PROGRAM = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from titanic_survival.toolkit.batch import formats, job
from titanic_survival.toolkit.batch.scoring import Scorer
from titanic_survival.toolkit.version.artifact import Artifact
formats.CHUNK_ROWS = 1000
scorer = Scorer(Artifact(Path(sys.argv[1])), 3, "the version's digest", datetime.now(UTC))
print("started", flush=True)
job.run(job.Job(sys.argv[2], sys.argv[3], scorer, resume=sys.argv[4] == "True"))
"""


def test_job_that_is_killed_again_and_again_loses_and_doubles_nothing(version: Artifact, tmp_path: Path) -> None:
    rows = version.details and version.example.rows[0]
    count, files_ = 60_000, 4
    (tmp_path / "in").mkdir()
    for i in range(files_):
        table = pa.Table.from_pylist([rows] * count)
        numbers = pa.array(range(i * count, (i + 1) * count))
        pq.write_table(table.append_column("number", numbers), tmp_path / "in" / f"{i}.parquet")
    command = [sys.executable, "-c", PROGRAM, str(version.folder), str(tmp_path / "in"), str(tmp_path / "out")]
    root = Path(job.__file__).parents[3]
    randomness = random.Random(7)
    killed = 0
    for attempt in range(12):
        process = subprocess.Popen([*command, str(attempt > 0)], cwd=root, stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        deadline = time.monotonic() + (randomness.uniform(0.0, 0.5) if attempt < 6 else 60)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        killed += 1
        for path in (tmp_path / "out").glob("*.parquet"):
            pq.read_metadata(path)  # no half file
    assert killed >= 2
    assert process.returncode == 0
    found = pq.read_table(tmp_path / "out", columns=["number"]).column("number").to_pylist()
    assert sorted(found) == list(range(files_ * count))
    assert json.loads((tmp_path / "out" / "_SUCCESS").read_text())["rows"] == files_ * count


def test_wildcards_in_the_names_of_folders_that_exist_are_names(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    home = tmp_path / "copy [1]*"
    home.mkdir()
    source.rename(home / "in")
    assert score_files(double, 3, home / "in" / "**" / "a.*", home / "out.csv").counts.rows == 6
    assert score_files(double, 3, home / "in", home / "scores").counts.rows == 9
    score_files(double, 3, home / "in" / "2026-01-0[1]" / "*.csv", home / "parquet" / "*.parquet")
    assert "2026-01-01/a.parquet" in files(home / "parquet")
    with pytest.raises(UserError, match="a pattern as OUTPUT is a folder"):
        score_files(double, 3, home / "in", home / "*" / "scores")


def test_no_output_replaces_a_file_of_the_input(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    day = source / "2026-01-01"
    (tmp_path / "link").symlink_to(day)
    (day / "b.rejects.csv").write_text("amount,code,from\n5,8,again\n")
    before = {name: (source / name).read_bytes() for name in files(source)}
    for given, output in (
        (day / "a.csv", day / ".." / "2026-01-01" / "a.csv"),
        (day / "a.csv", tmp_path / "link" / "a.csv"),
        (day / "*.csv", day / "a.csv"),
        (day / "b.rejects.csv", day / "b.parquet"),
        (source / "**" / "*.csv", tmp_path / "link"),
        (source, source / "2026-01-02"),
    ):
        with pytest.raises(UserError, match="choose another OUTPUT, so that it is kept"):
            score_files(double, 3, given, output)
    assert {name: (source / name).read_bytes() for name in files(source)} == before


def test_exact_share_of_rejected_rows_is_allowed(score_files: ScoreFiles, double: Artifact, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("amount\n" + "-1\n" * 29 + "1\n" * 71)
    assert score_files(double, 3, tmp_path / "in.csv", tmp_path / "out.csv", max_rejects=0.29).counts.rejected == 29
    with pytest.raises(job.TooManyRejectsError, match="29 of 100 rows were rejected"):
        score_files(double, 3, tmp_path / "in.csv", tmp_path / "out.csv", max_rejects=0.28)


def test_two_formats_of_one_name_are_named(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    (source / "2026-01-01" / "b.csv").write_text("amount\n-1\n")
    with pytest.raises(UserError, match=r"b\.csv and .*b\.csv\.gz would both be scored into .*/2026-01-01/b$"):
        score_files(double, 3, source, tmp_path / "out")


def test_another_format_replaces_the_first(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    score_files(double, 3, source, tmp_path / "out")
    score_files(double, 3, source, tmp_path / "out" / "*.parquet")
    found = [name for name in files(tmp_path / "out") if not name.startswith("_")]
    assert found == ["2026-01-01/a.parquet", "2026-01-01/b.parquet", "2026-01-02/a.parquet"]


@pytest.mark.parametrize("content", ["", "{}", "[1]", "5"])
def test_folder_that_another_program_completed_is_left_alone(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path, content: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_SUCCESS").write_text(content)
    (tmp_path / "out" / "part-0.parquet").write_text("mine")
    with pytest.raises(UserError, match="has files that no job has written"):
        score_files(double, 3, source, tmp_path / "out")


@pytest.mark.parametrize("damage", ["no counts", "no bins", "other counts", "short output", "no rejects"])
def test_part_whose_files_are_damaged_is_done_again(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path, damage: str
) -> None:
    out = tmp_path / "out"
    score_files(double, 3, source, out)
    before = (out / "2026-01-01" / "a.csv").read_text().splitlines()
    state = out / "_parts" / "2026-01-01" / "a.json"
    content = json.loads(state.read_text())
    if damage == "no counts":
        del content["counts"]
    elif damage == "no bins":
        content["counts"]["bins"] = {}
    elif damage == "other counts":
        content["counts"]["rows"] = "many"
    elif damage == "short output":
        (out / "2026-01-01" / "a.csv").write_text("")
    else:
        (out / "_rejects" / "2026-01-01" / "a.csv").unlink()
    state.write_text(json.dumps(content))
    result = score_files(double, 3, source, out, resume=True)
    assert (result.resumed, result.counts[:2]) == (2, (9, 3))
    assert len((out / "2026-01-01" / "a.csv").read_text().splitlines()) == len(before)
    assert (out / "_rejects" / "2026-01-01" / "a.csv").exists()


def test_links_are_followed_but_not_in_circles(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    day, other = source / "2026-01-01", tmp_path / "other"
    other.mkdir()
    (other / "c.csv").write_text("amount\n1\n")
    (other / "back").symlink_to(day)
    (day / "self").symlink_to(day)
    (day / "up").symlink_to(source)
    (day / "other").symlink_to(other)
    (day / "nowhere.csv").symlink_to(tmp_path / "missing.csv")
    score_files(double, 3, day, tmp_path / "out")
    found = [file.removesuffix(".json") for file in files(tmp_path / "out" / "_parts")]
    assert found == ["_job", "a", "b", "other/c", "up/2026-01-02/a"]


def test_folder_that_is_a_file_is_named(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="out cannot be read: Not a directory"):
        score_files(double, 3, source, tmp_path / "out")


def test_name_that_is_no_utf_8_is_named(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    Path(os.fsdecode(bytes(source) + b"/\xff.csv")).write_text("amount\n1\n")
    with pytest.raises(UserError, match=r"xff\.csv'.*the file's name is no UTF-8"):
        score_files(double, 3, source, tmp_path / "out")


def test_folder_without_room_is_named(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> Any:
        raise OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device")

    monkeypatch.setattr(formats, "writer", full)
    with pytest.raises(UserError, match=f"{tmp_path}/out: No space left on device"):
        score_files(double, 3, source, tmp_path / "out")


def test_name_that_is_too_long_is_a_sentence(
    score_files: ScoreFiles, double: Artifact, source: Path, tmp_path: Path
) -> None:
    (source / f"{'x' * 246}.csv").write_text("amount\n1\n")
    with pytest.raises(UserError, match="File name too long"):
        score_files(double, 3, source, tmp_path / "out")
