"""One batch: what the runtime predicts, beside the input; what breaks the contract, with the reasons."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from titanic_survival.toolkit.batch.predictions import prediction_arrays, prediction_fields
from titanic_survival.toolkit.batch.scoring import Scorer
from titanic_survival.toolkit.contract.columns import output_values
from titanic_survival.toolkit.contract.schema import Contract, FieldSpec
from titanic_survival.toolkit.version.artifact import Artifact

NOW = datetime(2026, 1, 31, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize("amounts", [["0.1", "", None], [0.1, float("nan"), None]])
@pytest.mark.parametrize("dictionary", [False, True])
def test_scored_rows_keep_the_input_and_add_prediction_version_and_time(
    double: Artifact, amounts: list[Any], dictionary: bool
) -> None:
    codes = pa.array(["007", "8", "007"])
    columns = [pa.array(amounts), codes.dictionary_encode() if dictionary else codes, pa.array([b"x", b"y", None])]
    batch = pa.record_batch(columns, names=["amount", "code", "mine"])
    found = Scorer(double, 3, "digest", NOW).score(batch)
    assert found.scored.schema == Scorer(double, 3, "digest", NOW).scored_schema(batch.schema)
    assert found.scored.schema.names == ["amount", "code", "mine", "answer", "pair", "version", "time"]
    assert str(found.scored.select(batch.schema.names).to_pydict()) == str(batch.to_pydict())
    added = found.scored.select(["answer", "pair", "version", "time"]).to_pylist()
    assert added == [
        {"answer": 0.2, "pair": [0.1, -0.1], "version": 3, "time": NOW},
        *[{"answer": 0, "pair": [0, 0], "version": 3, "time": NOW}] * 2,
    ]
    assert found.rejected is None
    assert found.bins.rows == 3
    assert (
        dict(zip(double.profile.features["amount"].names, found.bins.features["amount"], strict=True))["missing"] == 2
    )


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), "string")]
)
def test_rejected_rows_have_position_column_value_and_reason(double: Artifact, type_: pa.DataType) -> None:
    amounts, codes = pa.array(["1", "-1", "x", "2"]), pa.array(["8", "8", None, "007"]).cast(type_)
    batch = pa.record_batch([amounts, codes, pa.array([1, 2, 3, 4])], names=["amount", "code", "row"])
    found = Scorer(double, 3, "digest", NOW).score(batch, "rows.csv", 1000)
    assert found.scored.column("amount").to_pylist() == ["1", "2"]
    assert found.scored.column("answer").to_pylist() == [2, 4]
    assert found.rejected is not None
    assert found.rejected.schema == Scorer(double, 3, "digest", NOW).rejected_schema(batch.schema)
    first, second = found.rejected.to_pylist()
    amount, code = "expected a number, at least 0 and at most 1000, or missing", "expected one of '007', '8'"
    given = {"amount": "-1", "code": "8", "row_given": 2}
    assert first == {**given, "file": "rows.csv", "row": 1001, "column": "amount", "value": "'-1'", "reason": amount}
    given = {"amount": "x", "code": None, "row_given": 3}
    more = {"column": "amount; code", "value": "'x'; missing", "reason": f"{amount}; {code}"}
    assert second == {**given, "file": "rows.csv", "row": 1002, **more}


@pytest.mark.parametrize("amounts", [[], ["-1", "x"]])
def test_batch_without_valid_rows(double: Artifact, amounts: list[str]) -> None:
    batch = pa.record_batch([pa.array(amounts, pa.string())], names=["amount"])
    found = Scorer(double, 3, "digest", NOW).score(batch)
    assert found.scored.schema == Scorer(double, 3, "digest", NOW).scored_schema(batch.schema)
    assert (len(found.scored), len(found.rejected or [])) == (0, len(amounts))


def test_threads_give_what_one_gives(version: Artifact, rows: list[dict[str, Any]], expected: Any) -> None:
    batch = pa.Table.from_pylist(rows).to_batches()[0]
    with ThreadPoolExecutor(4) as threads:
        found = list(
            threads.map(
                lambda first: Scorer(version, 1, "digest", NOW).score(batch, "rows.csv", first).scored, range(20)
            )
        )
    names = [field.name for field in version.contract.prediction]
    assert all(scored.select(names).to_pylist() == expected for scored in found)


def test_predictions_are_those_of_the_service() -> None:
    floats = np.random.default_rng(0).integers(0, 2**32, 9000, np.uint32).view(np.float32)
    floats[:6] = [0, -0.0, 0.1, 1 / 3, np.inf, np.nan]
    texts, count = np.array(["a", "", "ä"] * 3000, dtype=object), len(floats)
    predictions = {
        "number": floats,
        "count": np.arange(count) - 2**62,
        "truth": floats > 0,
        "category": texts,
        "vector": floats.reshape(-1, 3).repeat(3, axis=0),
        "map": floats.reshape(-1, 3)[:, ::-1].repeat(3, axis=0),
    }
    fields = [
        FieldSpec(name="number", kind="float"),
        FieldSpec(name="count", kind="int"),
        FieldSpec(name="truth", kind="bool"),
        FieldSpec(name="category", kind="category", categories=("a", "ä")),
        FieldSpec(name="vector", kind="vector", length=3),
        FieldSpec(name="map", kind="map", length=3, names=("a", "b", "c")),
    ]
    contract = Contract(row=(), prediction=tuple(fields))
    arrays = prediction_arrays(predictions, contract)
    assert [array.type for array in arrays] == [field.type for field in prediction_fields(contract)]
    for field, array in zip(fields, arrays, strict=True):
        assert str(array.to_pylist()) == str(output_values(predictions[field.name], field)), field.name
