"""From the raw CSV, every way to score gives the same predictions: copied into the tests of each problem's project.

The raw CSV is the file in `data/`, or what `data.load` returns if features are made there.
"""

import csv
import json
import math
import os
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from mlflow.types.schema import Array, DataType
from pyarrow.types import is_nested
from starlette.testclient import TestClient
from titanic_survival import config, predict
from titanic_survival.model import data
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.version.artifact import Artifact

Rows = list[dict[str, Any]]
COUNT = 60


@pytest.fixture(scope="module")
def raw(version: Artifact, contract: Contract, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a CSV file with the first and the last rows."""
    path = tmp_path_factory.mktemp("raw") / "rows.csv"
    names = [field.name for field in contract.row]
    tables = [pd.read_csv(file, dtype=str, keep_default_na=False) for file in config.ROOT.glob("data/*.csv")]
    table = next((table for table in tables if set(names) <= set(table) and len(table) >= COUNT), None)
    if table is None:
        # Lists are JSON in a cell.
        table = data.load().map(lambda value: json.dumps(np.asarray(value).tolist()) if is_list(value) else value)
    pd.concat([table[: COUNT // 2], table[-COUNT // 2 :]]).to_csv(path, index=False)
    return path


def is_list(value: Any) -> bool:
    return isinstance(value, list | np.ndarray)


@pytest.fixture(scope="module")
def predicted(settings: config.Settings, raw: Path, contract: Contract) -> Rows:
    """Return what `make predict` makes of the file."""
    output = raw.with_name("predictions.parquet")
    result = predict.run(settings, str(raw), str(output), "champion")
    assert result.counts[:2] == (COUNT, 0)
    table = pyarrow.parquet.read_table(output, columns=[field.name for field in contract.prediction])
    assert any(len(column.unique()) > 1 for column in table.columns if not is_nested(column.type))
    return table.to_pylist()


@pytest.fixture(scope="module")
def rows(raw: Path, contract: Contract) -> Rows:
    """Return the rows as JSON has them."""
    with raw.open(newline="", encoding="utf-8") as file:
        return [
            {field.name: plain(row[field.name], field.kind) for field in contract.row} for row in csv.DictReader(file)
        ]


def plain(text: str, kind: str) -> Any:
    """Return a cell of a CSV file as a caller who writes JSON gives it."""
    if text == "":
        return None
    if kind == "bool":
        return text.lower() in ("1", "1.0", "true")
    if kind == "int":
        return int(float(text))
    return json.loads(text) if kind in ("float", "vector", "matrix") else text


def same(rows: Rows, others: Rows) -> bool:
    """Whether predictions are the same; numbers to seven digits, since a float32 may be written with more."""
    assert len(rows) == len(others)
    return all(
        is_same(value, other[name]) for row, other in zip(rows, others, strict=True) for name, value in row.items()
    )


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-7) or (math.isnan(one) and math.isnan(other))
    return bool(one == other) or (one is None and other != other)


def test_runtime(version: Artifact) -> None:
    assert version.details["runtime"] == os.environ["RUNTIME"], version.details["runtime_note"]


def test_predict_route(client: TestClient, rows: Rows, predicted: Rows) -> None:
    answer = client.post("/predict", json=rows)
    assert answer.status_code == 200, answer.text
    assert same(predicted, answer.json())


def test_invocations_with_csv(client: TestClient, raw: Path, predicted: Rows) -> None:
    answer = client.post("/invocations", content=raw.read_bytes(), headers={"content-type": "text/csv"})
    assert answer.status_code == 200, answer.text
    assert same(predicted, answer.json()["predictions"])


def test_invocations_with_records(client: TestClient, rows: Rows, predicted: Rows) -> None:
    answer = client.post("/invocations", json={"dataframe_records": rows})
    assert answer.status_code == 200, answer.text
    assert same(predicted, answer.json()["predictions"])


def test_tensors(client: TestClient, settings: config.Settings, rows: Rows, predicted: Rows) -> None:
    address = f"/v2/models/{settings.model_name}"
    inputs = []
    for described in client.get(address).json()["inputs"]:
        tensor = {"name": described["name"], "datatype": described["datatype"]}
        shape = [COUNT, *described["shape"][1:]]
        inputs.append(tensor | {"shape": shape, "data": [row[described["name"]] for row in rows]})
    answer = client.post(f"{address}/infer", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    columns = {}
    for tensor in answer.json()["outputs"]:
        values, width = tensor["data"], math.prod(tensor["shape"][1:])
        is_wide = len(tensor["shape"]) > 1 and tensor["shape"][1:] != [1]
        columns[tensor["name"]] = [values[i : i + width] for i in range(0, len(values), width)] if is_wide else values
    assert same(predicted, [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])


def test_pyfunc(settings: config.Settings, raw: Path, predicted: Rows) -> None:
    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    model = mlflow.pyfunc.load_model(f"models:/{settings.model_name}@champion")
    # A CSV file has no types; the model's signature has them.
    types = {field.name: field.type for field in model.metadata.get_input_schema().inputs}
    frame = pd.read_csv(
        raw,
        dtype={name: kind.to_pandas() for name, kind in types.items() if isinstance(kind, DataType)},
        converters={name: json.loads for name, kind in types.items() if isinstance(kind, Array)},
    )
    assert same(predicted, model.predict(frame).to_dict("records"))
