"""What a batch looks like in a file."""

import csv
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from titanic_survival.toolkit.batch import formats
from titanic_survival.toolkit.batch.locations import locate

TIMES = [datetime(2026, 1, 31, 18, 30, 0, 5, tzinfo=UTC), None, datetime(1969, 7, 20, tzinfo=UTC)]


@pytest.mark.parametrize(
    "type_", [pa.timestamp("us", "UTC"), pa.timestamp("ns", "Europe/Berlin"), pa.timestamp("ms"), pa.timestamp("s")]
)
def test_times_in_a_csv_file_are_those_that_arrow_writes(type_: pa.DataType, tmp_path: Path) -> None:
    batch = pa.record_batch({"time": pa.array(TIMES * 2, pa.timestamp("us", "UTC")).cast(type_, safe=False)})
    with ExitStack() as stack:
        formats.writer(tmp_path / "found.csv", ".csv", batch.schema, stack)(batch)
    pa.csv.write_csv(batch, tmp_path / "expected.csv")
    found, expected = (list(csv.reader((tmp_path / f"{n}.csv").open(newline=""))) for n in ("found", "expected"))
    assert found == expected
    assert len(found) == 7


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (pa.array(["a", None], pa.string_view()), ["a", ""]),
        (pa.array([b"ab", b"\xff"]), ["ab", "\\xff"]),
        (pa.array([b"ab", None], pa.binary_view()), ["ab", ""]),
        (pa.array([b"\x01" * 16, None], pa.uuid()), ["01010101-0101-0101-0101-010101010101", ""]),
        (pa.array(['{"a": 1}', None], pa.json_()), ['{"a": 1}', ""]),
        (pa.array([[date(2026, 1, 31)], []]), ['["2026-01-31"]', "[]"]),
        (pa.array([{"at": TIMES[0]}, None]), ['{"at": "2026-01-31T18:30:00.000005+00:00"}', ""]),
        (pa.array([[Decimal("1.10")], [None]]), ['["1.10"]', "[null]"]),
        (pa.array([{"bytes": b"\xff"}, None]), ['{"bytes": "\\\\xff"}', ""]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_each_type_has_a_text_in_csv(array: pa.Array, texts: list[str], tmp_path: Path) -> None:
    batch = pa.record_batch({"value": array, "row": [0, 1]})
    with ExitStack() as stack:
        formats.writer(tmp_path / "found.csv", ".csv", batch.schema, stack)(batch)
    with (tmp_path / "found.csv").open(newline="") as file:
        assert [row["value"] for row in csv.DictReader(file)] == texts


def test_empty_lines_before_the_header_of_a_csv_file_are_no_header(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("\n\nname,amount\nada,007\n")
    with ExitStack() as stack:
        reader, _ = formats.open_csv(locate(str(tmp_path / "rows.csv")), stack)
        assert reader.read_all().to_pylist() == [{"name": "ada", "amount": "007"}]


def test_blocks_of_a_csv_file_are_joined_to_larger_batches(tmp_path: Path) -> None:
    path, rows = tmp_path / "in.csv", 1_100_000
    path.write_text("number,empty\n" + "".join(f"{number:07},\n" for number in range(rows)))
    with ExitStack() as stack:
        reader, _ = formats.open_csv(locate(str(path)), stack)
        batches = list(formats.joined(reader))
    assert path.stat().st_size > 9e6
    assert len(batches) == 3
    assert pa.Table.from_batches(batches)["number"].to_pylist() == [f"{number:07}" for number in range(rows)]


def test_a_csv_file_without_rows_has_no_batch(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("number\n")
    with ExitStack() as stack:
        reader, _ = formats.open_csv(locate(str(path)), stack)
        assert sum(map(len, formats.joined(reader))) == 0
