"""What a batch looks like in a file."""

import csv
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from titanic_survival.toolkit.batch import formats

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
