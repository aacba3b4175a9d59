"""Files of rows: what comes in goes out again, with predictions beside it."""

import csv
import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from doubling import Double, Prediction
from pydantic import BaseModel
from titanic_survival.toolkit.batch import formats, job
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.version.artifact import Artifact

FORMATS = (".csv", ".parquet")
#: More than a file's first batch, of which a part is read when the file is opened; wide, so that there are few rows.
LONG = f"1,{'8' * 1000}\n" * 1000 * (formats.BATCH_BLOCKS + 2)


@pytest.fixture
def score(
    score_files: Callable[..., job.Result], double: Artifact, tmp_path: Path
) -> Callable[..., list[dict[str, str]]]:
    """Return a function that scores the text of a CSV file and returns the rows of the output."""

    def score(text: str | bytes) -> list[dict[str, str]]:
        source = tmp_path / "in.csv"
        source.write_bytes(text if isinstance(text, bytes) else text.encode())
        score_files(double, 3, source, tmp_path / "out.csv")
        return read(tmp_path / "out.csv")

    return score


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    frame = pd.DataFrame(rows)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def values(path: Path, version: Artifact) -> list[dict[str, Any]]:
    """Return the predictions in a file of either format as plain values."""
    columns = version.contract.prediction
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        return [{c.name: plain(row[c.name]) for c in columns} for row in frame.to_dict("records")]
    kinds: dict[str, Any] = {"float": float, "int": int, "bool": json.loads, "category": str, "vector": json.loads}
    return [{c.name: kinds[c.kind](row[c.name]) for c in columns} for row in read(path)]


def plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.parametrize("given", FORMATS)
@pytest.mark.parametrize("wanted", FORMATS)
def test_predictions_are_those_of_the_runtime(
    score_files: Callable[..., job.Result],
    version: Artifact,
    rows: list[dict[str, Any]],
    expected: list[dict[str, Any]],
    tmp_path: Path,
    given: str,
    wanted: str,
) -> None:
    source, output = write(tmp_path / f"in{given}", rows), tmp_path / f"out{wanted}"
    scored = score_files(version, 1, source, output)
    assert scored.counts[:2] == (len(rows), 0)
    assert values(output, version) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, output.name])


@pytest.mark.parametrize("given", FORMATS)
def test_row_that_breaks_the_contract_is_rejected_alone(
    score_files: Callable[..., job.Result],
    version: Artifact,
    rows: list[dict[str, Any]],
    say: Callable[..., Any],
    tmp_path: Path,
    given: str,
) -> None:
    others = say([rows[0], *rows[2:]])
    for name in rows[0]:
        # As text, since a Parquet column has one type.
        texts = [json.dumps(v) if isinstance(v := row[name], list) else None if v is None else str(v) for row in rows]
        broken = [row | {name: text} for row, text in zip(rows, texts, strict=True)]
        broken[1] |= {name: "¿"}
        source, output = write(tmp_path / f"in{given}", broken), tmp_path / "out.csv"
        scored = score_files(version, 1, source, output)
        assert scored.counts[:2] == (len(rows), 1)
        assert values(output, version) == others
        (reject,) = read(Path(scored.rejects.path))
        assert reject["row"] == "1"
        assert (reject["column"], reject["value"]) == (name, "'¿'")
        assert reject["reason"].startswith("expected")


def test_input_columns_come_out_as_they_went_in(score: Callable[..., Any]) -> None:
    text = 'note,amount,code,empty,n\n"a, ""b""\nc",1.50,007,,0012\nNA,,8,x,1e3\n'
    first, second = score(text)
    assert {k: first[k] for k in ("note", "amount", "code", "empty", "n")} == {
        "note": 'a, "b"\nc',
        "amount": "1.50",
        "code": "007",
        "empty": "",
        "n": "0012",
    }
    assert (second["note"], second["amount"], second["n"]) == ("NA", "", "1e3")
    assert (first["answer"], first["pair"], first["version"]) == ("3", "[1.5, -1.5]", "3")
    assert (second["answer"], second["version"]) == ("0", "3")


def test_order_of_rows_is_kept(score: Callable[..., Any]) -> None:
    numbers = [str(number) for number in range(500)]
    answers = [row["answer"] for row in score("amount\n" + "\n".join(numbers))]
    assert answers == [str(2 * number) for number in range(500)]


def test_rejects_hold_the_input_the_row_and_every_reason(score: Callable[..., Any], tmp_path: Path) -> None:
    assert [row["answer"] for row in score("amount,code,note\n1,007,a\n-1,9,b\nx,8,c\n2,8,d\n")] == ["2", "4"]
    first, second = read(tmp_path / "out.rejects.csv")
    assert (first["amount"], first["code"], first["note"], first["row"]) == ("-1", "9", "b", "1")
    assert (first["column"], first["value"]) == ("amount; code", "'-1'; '9'")
    assert re.fullmatch("expected a number, .*; expected one of '007', '8'", first["reason"])
    assert (second["row"], second["note"]) == ("2", "c")


def test_rejects_of_an_earlier_run_do_not_stay(score: Callable[..., Any], tmp_path: Path) -> None:
    score("amount\n-1\n")
    assert (tmp_path / "out.rejects.csv").exists()
    score("amount\n1\n")
    assert not (tmp_path / "out.rejects.csv").exists()


def test_file_of_a_header_alone_gives_a_header(score: Callable[..., Any], tmp_path: Path) -> None:
    assert score("amount,code\n") == []
    assert (tmp_path / "out.csv").read_text().splitlines() == ['"amount","code","answer","pair","version","time"']


def test_all_rows_may_be_rejected(score: Callable[..., Any], tmp_path: Path) -> None:
    assert score("amount\n-1\n-2\n") == []
    assert len(read(tmp_path / "out.rejects.csv")) == 2


def test_line_without_anything_is_a_row_of_a_file_of_one_column(score: Callable[..., Any]) -> None:
    assert [row["answer"] for row in score("amount\n1\n\n2\n")] == ["2", "0", "4"]


def test_missing_optional_column_takes_its_default(score: Callable[..., Any]) -> None:
    (row,) = score("amount\n1\n")
    assert row.pop("time").startswith("20")
    assert row == {"amount": "1", "answer": "2", "pair": "[1.0, -1.0]", "version": "3"}


def test_column_that_a_prediction_needs_is_kept_under_another_name(score: Callable[..., Any]) -> None:
    (row,) = score("amount,answer,version\n1,mine,old\n")
    assert (row["answer_given"], row["version_given"]) == ("mine", "old")
    assert (row["answer"], row["version"]) == ("2", "3")


@pytest.mark.parametrize("header", ["amount,answer,answer_given", "amount,row,reason"])
def test_no_two_columns_get_one_name(score: Callable[..., Any], tmp_path: Path, header: str) -> None:
    score(f"{header}\n1,mine,too\n-1,mine,too\n")
    for name in ("out.csv", "out.rejects.csv"):
        with (tmp_path / name).open(newline="") as file:
            names = next(csv.reader(file))
        assert len(set(names)) == len(names), name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("code\n8\n", "amount: the column is missing"),
        ("", "cannot be read"),
        ("amount,code\n1,8,2\n", "cannot be read"),
        (b"amount\n\xff\xfe\n", "cannot be read"),
        ("amount,code\n" + LONG + "1,8,2\n", "cannot be read"),
        (f"amount,code\n{LONG}".encode() + b"\xff,8\n", "cannot be read"),
        ("amount,amount\n1,2\n", "amount"),
    ],
    ids=["missing column", "empty", "ragged", "no text", "ragged later", "no text later", "column twice"],
)
def test_file_that_cannot_be_scored_leaves_an_existing_output(
    score: Callable[..., Any], tmp_path: Path, text: str | bytes, said: str
) -> None:
    (tmp_path / "out.csv").write_text("before")
    (tmp_path / "out.rejects.csv").write_text("before")
    with pytest.raises(UserError, match=said):
        score(text)
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "out.rejects.csv").read_text() == "before"
    assert not list(tmp_path.glob(".*"))


def test_quoted_line_break_may_stand_anywhere_in_a_long_file(score: Callable[..., Any]) -> None:
    assert len(score("amount,note\n" + '1,"two\nlines"\n' * 100_000)) == 100_000


@pytest.mark.parametrize("wanted", FORMATS)
def test_types_that_parquet_knows_go_through(
    score_files: Callable[..., job.Result], double: Artifact, tmp_path: Path, wanted: str
) -> None:
    frame = pd.DataFrame({"amount": [1, 2], "code": pd.Categorical(["007", "8"]), "list": [[1, 2], None]})
    frame["day"] = pd.Timestamp("2020-01-01")
    frame.to_parquet(tmp_path / "in.parquet")
    scored = score_files(double, 1, tmp_path / "in.parquet", tmp_path / f"out{wanted}")
    assert scored.counts[:2] == (2, 0)
    assert [row["answer"] for row in values(tmp_path / f"out{wanted}", double)] == [2, 4]


@pytest.mark.parametrize("type_", [pa.binary_view(), pa.list_(pa.string_view()), pa.uuid()], ids=str)
def test_rejected_rows_may_have_any_type(
    score_files: Callable[..., job.Result], double: Artifact, tmp_path: Path, type_: pa.DataType
) -> None:
    values = [["a"], ["b"]] if pa.types.is_list(type_) else [b"a" * 16, b"b" * 16]
    table = pa.table({"amount": [1.0, -1.0], "other": pa.array(values, type_)})
    pq.write_table(table, tmp_path / "in.parquet")
    assert score_files(double, 1, tmp_path / "in.parquet", tmp_path / "out.parquet").counts.rejected == 1
    assert pq.read_table(tmp_path / "out.parquet").column("other").to_pylist() == table.column("other").to_pylist()[:1]
    assert len(read(tmp_path / "out.rejects.csv")) == 1


def test_column_that_pandas_wrote_as_an_index_is_a_column(
    score_files: Callable[..., job.Result], double: Artifact, tmp_path: Path
) -> None:
    pd.DataFrame({"amount": [4, 1, 9], "note": "a"}).set_index("amount").to_parquet(tmp_path / "in.parquet")
    assert score_files(double, 1, tmp_path / "in.parquet", tmp_path / "out.csv").counts.rejected == 0


def test_file_that_is_no_parquet_is_named(
    score_files: Callable[..., job.Result], double: Artifact, tmp_path: Path
) -> None:
    (tmp_path / "in.parquet").write_text("amount\n1\n")
    with pytest.raises(UserError, match=r"in\.parquet cannot be read as parquet"):
        score_files(double, 1, tmp_path / "in.parquet", tmp_path / "out.csv")


def test_two_runs_to_one_output_do_not_mix_and_the_later_says_so(
    score_files: Callable[..., job.Result], double: Artifact, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("amount,code\n" + "1,8\n2,nonsense\n" * 10)
    second.write_text("amount,code\n" + "3,8\n" * 30)
    output = tmp_path / "out.csv"
    inner: list[job.Result] = []

    def meanwhile(rows: int, share: float) -> None:
        if not inner:
            inner.append(score_files(double, 3, second, output))
            assert [row["amount"] for row in read(output)] == ["3"] * 30

    outer = score_files(double, 3, first, output, progress=meanwhile)
    assert [row["amount"] for row in read(output)] == ["1"] * 10
    assert [row["amount"] for row in read(Path(outer.rejects.path))] == ["2"] * 10
    assert (inner[0].replaced, outer.replaced) == (False, True)
    assert sorted(path.name for path in tmp_path.glob("*out*")) == ["out.csv", "out.rejects.csv"]
    assert not list(tmp_path.glob(".*"))
    assert not score_files(double, 3, first, output).replaced, "an output of before is no other run"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of the memory is read from /proc")
@pytest.mark.parametrize("groups", [1, 40])
def test_memory_does_not_grow_with_a_parquet_file(double: Artifact, tmp_path: Path, groups: int) -> None:
    rows, source = 2_000_000, tmp_path / "in.parquet"
    rng = np.random.default_rng(0)
    columns = {"amount": rng.uniform(0, 1000, rows)} | {f"more_{i}": rng.uniform(0, 1, rows) for i in range(7)}
    pq.write_table(pa.table(columns), source, row_group_size=rows // groups, use_dictionary=False)
    code = (
        "import sys\n"
        f"from {formats.__name__.rpartition('.')[0]}.parts import plan\n"
        "def peak():\n"
        "    return next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))\n"
        "before, rows = peak(), 0\n"
        "for part in plan(sys.argv[1]):\n"
        "    with part.open() as opened:\n"
        "        rows += sum(len(batch) for batch in opened.batches)\n"
        "print(rows, peak() - before)\n"
    )
    root = Path(formats.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, str(source)], capture_output=True, text=True, check=True, cwd=root
    )
    read_rows, grown = map(int, done.stdout.split())
    assert read_rows == rows
    assert source.stat().st_size > 120_000_000
    assert grown * 1024 < source.stat().st_size / 2


def test_disk_that_takes_no_more_is_said_in_a_sentence(
    score_files: Callable[..., job.Result], double: Artifact, tmp_path: Path
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("amount,code\n" + "1,8\n" * 200_000)
    (tmp_path / "out").mkdir()
    for suffix in FORMATS:
        output = tmp_path / "out" / f"out{suffix}"
        with limited_file_size(2_000), pytest.raises(UserError, match=r"out: .*(large|space)"):
            score_files(double, 3, source, output)
        assert list(output.parent.iterdir()) == []


@contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_unknown_and_missing_columns_are_named(
    score_files: Callable[..., job.Result], double: Artifact, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.csv", [{"amount": 1, "Code": "8", "order": 7}])
    unknown, missing = score_files(double, 3, source, tmp_path / "out.csv").warnings
    assert "'Code' (did you mean 'code'?), 'order'" in unknown
    assert "'code' ('8')" in missing
    (tmp_path / "out.csv").unlink()
    with pytest.raises(UserError, match=r"did you mean 'code'.*'order'.* With STRICT=1"):
        score_files(double, 3, source, tmp_path / "out.csv", strict=True)
    assert not (tmp_path / "out.csv").exists()


def test_file_without_any_column_of_the_model_is_named(
    score_files: Callable[..., job.Result], save: Callable[..., Artifact], tmp_path: Path
) -> None:
    class Idle(BaseModel):
        """Nothing is required."""

        amount: float | None = None

    version = save(Idle, Prediction, Double(), [{"amount": 1}])
    source = write(tmp_path / "in.csv", [{"other": 1}])
    with pytest.raises(UserError, match="none of the columns amount; its columns are other"):
        score_files(version, 3, source, tmp_path / "out.csv")
