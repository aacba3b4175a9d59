"""Files of labels: what refers to predictions, which rows are used, and which are rejected with what reason."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from pydantic import BaseModel
from titanic_survival.toolkit.analysis.known_labels import read_known
from titanic_survival.toolkit.analysis.label_files import LabelFiles, open_labels
from titanic_survival.toolkit.analysis.label_index import LabelCounts, build_index
from titanic_survival.toolkit.analysis.label_join import join_by_id, join_by_key
from titanic_survival.toolkit.analysis.label_rejects import write_rejects
from titanic_survival.toolkit.analysis.log_blocks import LogBlock
from titanic_survival.toolkit.batch.locations import locate
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.monitoring.feedback_log import lines as lines_of
from titanic_survival.toolkit.monitoring.prediction_ids import IdGenerator

MODEL = "customers"


class Row(BaseModel):
    """A customer."""

    customer_id: Annotated[str, "key"]
    number: int
    amount: float = 0.0


class Prediction(BaseModel):
    """Whether the customer leaves."""

    leaves: Literal["yes", "no", "None"]


CONTRACT = derive(Row, Prediction)


def ids(count: int, version: int = 3, contract: Contract = CONTRACT, model: str = MODEL) -> list[str]:
    predicted = {label.name: np.array(["yes"] * count, object) for label in contract.labels}
    return IdGenerator(model, version, *contract.labels).make(predicted)


def opened(folder: Path, key: str = "", **files: Any) -> LabelFiles:
    """Write tables as CSV, and open them."""
    (folder / "in").mkdir()
    for name, table in files.items():
        pd.DataFrame(table).to_csv(folder / "in" / f"{name}.csv", index=False)
    return open_labels(str(folder / "in"), CONTRACT, MODEL, key)


def by_id(files: LabelFiles) -> tuple[LabelCounts, dict[str, Any]]:
    index, counts = build_index(files, files.read())
    joined = [label for part in join_by_id(files, index, files.read()) for label in part.labels]
    assert len({label.id for label in joined}) == len(joined)
    assert {label.version for label in joined} <= {3}
    return counts, {label.id: label.actual["leaves"] for label in joined}


def by_key(files: LabelFiles, *blocks: LogBlock) -> tuple[dict[str, Any], int]:
    """Return the labels of predictions, and how many labels were of none."""
    index, _ = build_index(files, files.read())
    used = np.zeros(len(index), bool)
    joined = [label for part in join_by_key(files, index, blocks, used) for label in part.labels]
    return {label.id: label.actual["leaves"] for label in joined}, int((~used & ~index.ambiguous).sum())


def block(texts: list[str], *, time: str = "2026-01-10", shadow: bool = False, **fields: Any) -> LogBlock:
    """Return logged predictions."""
    keys = fields.pop("keys", [None] * len(texts))
    times = np.full(len(texts), np.datetime64(time, "us"))
    return LogBlock(3, shadow, times, texts, keys, fields, {"leaves": ["yes"] * len(texts)})


def rejected(files: LabelFiles, folder: Path) -> list[dict[str, Any]]:
    index, _ = build_index(files, files.read())
    write_rejects(files, index, files.read(), locate(str(folder / "rejects.csv")))
    return pd.read_csv(folder / "rejects.csv", keep_default_na=False, dtype=str).to_dict("records")


def test_label_that_is_in_two_rows_or_files_counts_once(tmp_path: Path) -> None:
    names = ids(3)
    table = {"id": [names[0], names[1].upper(), names[0]], "leaves": ["yes", "no", "yes"], "more": [1, 2, 3]}
    files = opened(tmp_path, a=table, b={"id": names[1:], "leaves": ["no", "None"]})
    counts, labels = by_id(files)
    assert labels == {names[0]: "yes", names[1]: "no", names[2]: "None"}
    assert counts == LabelCounts(rows=5, repeated=2)


def test_two_labels_for_one_prediction_are_both_rejected(tmp_path: Path) -> None:
    names = ids(2)
    files = opened(tmp_path, a={"id": names, "leaves": ["yes", "no"]}, b={"id": names[:1], "leaves": ["no"]})
    counts, labels = by_id(files)
    assert labels == {names[1]: "no"}
    assert (counts.ambiguous, counts.rejected, counts.repeated) == (2, 2, 0)
    found = rejected(files, tmp_path)
    assert [(Path(row["file"]).name, row["row"], row["column"]) for row in found] == [
        ("a.csv", "0", "id"),
        ("b.csv", "0", "id"),
    ]
    assert "another row has another label" in found[0]["reason"]


def test_rejected_rows_have_file_row_column_value_and_reason(tmp_path: Path) -> None:
    name, other = ids(1)[0], ids(1, model="another")[0]
    table = {"id": [name, other, "5", "", name], "leaves": ["maybe", "yes", "yes", "yes", ""]}
    files = opened(tmp_path, a=table)
    counts, labels = by_id(files)
    assert (counts.invalid, counts.unlabelled, labels) == (4, 1, {})
    found = rejected(files, tmp_path)
    assert [row["row"] for row in found] == ["0", "1", "2", "3"]
    assert [row["column"] for row in found] == ["leaves", "id", "id", "id"]
    assert [row["value"] for row in found] == ["'maybe'", repr(other), "'5'", "''"]
    assert found[0]["reason"] == "expected one of 'yes', 'no', 'None'"
    assert all("not the id of a prediction of this model" in row["reason"] for row in found[1:])


def test_id_of_a_version_with_other_labels_is_rejected(tmp_path: Path) -> None:
    class Two(BaseModel):
        first: Literal["yes", "no"]
        second: Literal["yes", "no"]

    two = derive(Row, Two).model_copy(update={"label_count": 2})
    files = opened(tmp_path, a={"id": ids(1, contract=two), "leaves": ["yes"]})
    assert "had other labels" in rejected(files, tmp_path)[0]["reason"]


def test_parquet_of_dictionaries_and_numbers_gives_what_csv_gives(tmp_path: Path) -> None:
    names = ids(3)
    table = pa.table({"id": names, "leaves": pa.array(["yes", "no", None]).dictionary_encode()})
    pa.parquet.write_table(table, tmp_path / "labels.parquet")
    counts, labels = by_id(open_labels(str(tmp_path / "labels.parquet"), CONTRACT, MODEL))
    assert labels == {names[0]: "yes", names[1]: "no"}
    assert counts.unlabelled == 1


def test_labels_are_what_the_route_writes_whatever_their_kind(tmp_path: Path) -> None:
    class Both(BaseModel):
        first: bool
        second: bool

    class Number(BaseModel):
        rooms: int

    class Price(BaseModel):
        price: float

    both = derive(Row, Both).model_copy(update={"label_count": 2})
    for contract, text, expected in (
        (both, "first,second\n1,False\ntrue,\n,", [{"first": True, "second": False}]),
        (derive(Row, Number), "rooms\n5\n5.5\n-16777216\n", [{"rooms": 5}, {"rooms": -16777216}]),
        (derive(Row, Price), "price\n0.1\nNaN\n1e30\ninf\n", [{"price": 0.1}, {"price": 1e30}]),
    ):
        predicted = {label.name: np.zeros(4, np.float32) for label in contract.labels}
        names = IdGenerator(MODEL, 3, *contract.labels).make(predicted)
        head, *lines = text.splitlines()
        rows = [f"{name},{line}" for name, line in zip(names, lines, strict=False)]
        (tmp_path / "labels.csv").write_text("\n".join([f"id,{head}", *rows]))
        files = open_labels(str(tmp_path / "labels.csv"), contract, MODEL)
        index, counts = build_index(files, files.read())
        made = [label for part in join_by_id(files, index, files.read()) for label in part.labels]
        assert [label.actual for label in made] == expected
        assert [type(value) for label in made for value in label.actual.values()] == [
            type(value) for actual in expected for value in actual.values()
        ]
        (tmp_path / "log").mkdir(exist_ok=True)
        (tmp_path / "log" / "feedback-1.jsonl").write_bytes(lines_of(made, datetime.now(UTC)))
        known = read_known(locate(str(tmp_path / "log")), contract.labels)
        for part in join_by_id(files, index, files.read()):
            assert known.has(part.id_numbers, part.label_numbers).all()
            assert not known.has(part.id_numbers, part.label_numbers + np.uint64(1)).any()
        assert counts.rows == counts.rejected + counts.unlabelled + len(expected)


def test_every_prediction_of_a_key_gets_its_label(tmp_path: Path) -> None:
    names = ids(5)
    files = opened(tmp_path, "customer_id", a={"customer_id": ["007", "8", "9"], "leaves": ["yes", "no", "no"]})
    labels, unused = by_key(
        files,
        block(names[:3], customer_id=["007", "8", "7"], number=[1, 2, 3]),
        block(names[3:], customer_id=["007", ""], number=[4, 5]),
    )
    assert labels == {names[0]: "yes", names[1]: "no", names[3]: "yes"}
    assert unused == 1


def test_key_may_be_the_callers_or_a_whole_number(tmp_path: Path) -> None:
    names = ids(3)
    logged = block(names, keys=["a", None, "17"], number=[1.0, 17.0, 18.0], customer_id=["x", "y", "z"])
    files = opened(tmp_path, a={"key": ["a", "17"], "leaves": ["no", "yes"]})
    assert by_key(files, logged) == ({names[0]: "no", names[2]: "yes"}, 0)
    path = tmp_path / "numbers.csv"
    pd.DataFrame({"number": [17, -5], "leaves": ["no", "yes"]}).to_csv(path, index=False)
    assert by_key(open_labels(str(path), CONTRACT, MODEL, "number"), logged) == ({names[1]: "no"}, 1)


def test_shadow_rows_and_other_models_get_no_label(tmp_path: Path) -> None:
    names, others = ids(1), ids(1, model="another")
    files = opened(tmp_path, "customer_id", a={"customer_id": ["7"], "leaves": ["yes"]})
    blocks = block(names, shadow=True, customer_id=["7"]), block(others, customer_id=["7"]), block(names, number=[1])
    assert by_key(files, *blocks) == ({}, 1)


def test_label_with_a_time_is_of_the_predictions_before_it(tmp_path: Path) -> None:
    names = ids(4)
    table = {
        "customer_id": ["7", "7", "8"],
        "leaves": ["no", "yes", "yes"],
        "time": ["2026-01-31", "2026-02-28T12:00:00+02:00", "2026-01-31T00:00:00Z"],
    }
    files = opened(tmp_path, "customer_id", a=table)
    labels, unused = by_key(
        files,
        block(names[:1], time="2026-01-10", customer_id=["7"]),
        block(names[1:2], time="2026-01-31", customer_id=["7"]),
        block(names[2:], time="2026-02-28T10:00:00", customer_id=["7", "8"]),
    )
    assert labels == {names[0]: "no", names[1]: "yes"}
    assert unused == 1


def test_two_labels_of_a_key_are_rejected_unless_their_times_differ(tmp_path: Path) -> None:
    names = ids(1)
    table = {"customer_id": ["7", "7", "8", "8"], "leaves": ["no", "yes", "no", "no"]}
    files = opened(tmp_path, "customer_id", a=table | {"time": ["2026-02-01", "2026-02-01", "2026-02-01", "x"]})
    assert by_key(files, block(names, customer_id=["7"])) == ({}, 1)
    assert [(row["row"], row["column"]) for row in rejected(files, tmp_path)] == [
        ("0", "customer_id"),
        ("1", "customer_id"),
        ("3", "time"),
    ]


@pytest.mark.parametrize(
    ("columns", "key", "said"),
    [
        ("number,leaves", "", "no column that says which predictions"),
        ("id,Leaves", "", "leaves: the column is missing ('Leaves' is probably 'leaves')"),
        ("id,leaves,leaves", "", "leaves: two columns have this name"),
        ("id,leaves", "customer_id", "customer_id: the column is missing"),
        ("id,leaves", "key", "key: the column is missing"),
        ("amount,leaves", "amount", "KEY=amount: the field is a number, which names no row"),
        ("id,leaves", "custmer", "KEY=custmer is no field of Row"),
    ],
)
def test_columns_that_do_not_fit_are_named(tmp_path: Path, columns: str, key: str, said: str) -> None:
    (tmp_path / "labels.csv").write_text(f"{columns}\n")
    with pytest.raises(UserError) as error:
        open_labels(str(tmp_path / "labels.csv"), CONTRACT, MODEL, key)
    assert said in str(error.value)


def test_column_of_a_type_without_labels_is_named(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"id": ["a"], "leaves": [datetime.now(UTC)]}), tmp_path / "labels.parquet")
    with pytest.raises(UserError, match="leaves: the column's type is timestamp"):
        open_labels(str(tmp_path / "labels.parquet"), CONTRACT, MODEL)


def test_files_that_refer_in_different_ways_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"b\.csv has other columns than .*a\.csv"):
        opened(tmp_path, a={"id": ids(1), "leaves": ["no"]}, b={"key": ["a"], "leaves": ["no"]})


def test_model_without_label_takes_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="learns without a label"):
        open_labels(str(tmp_path), CONTRACT.model_copy(update={"label_count": 0}), MODEL)
