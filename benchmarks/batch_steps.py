"""Run in the project's environment: make rows, score them with the bare ONNX model, or as a plain script does."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

#: Rows in a call of the bare model: the fastest number counts, measured on the first of the rows.
BLOCKS, TRIAL_ROWS = (1000, 4000, 10_000, 50_000), 100_000
PIECE = 500_000


def rows(count: str, folder: str, mixed: str = "") -> None:
    """Write rows of the sample data with other ages and fares as CSV, as Parquet, and as one row group of Parquet.

    With `mixed`, each value is that of another row of the sample, so that fewer rows are alike.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet
    from titanic_survival.model import data, schema

    sample = data.load()[list(schema.Row.model_fields)]
    random, target, left = np.random.default_rng(0), Path(folder), int(count)
    table = pa.Table.from_pandas(sample, preserve_index=False)
    one_group = []
    with (
        pa.csv.CSVWriter(target / "rows.csv", table.schema) as csv_file,
        pa.parquet.ParquetWriter(target / "rows.parquet", table.schema) as parquet_file,
    ):
        while left:
            size = min(left, PIECE)
            part = sample.iloc[random.integers(0, len(sample), size)].reset_index(drop=True)
            if mixed:
                part = pd.DataFrame({name: random.permutation(part[name].to_numpy()) for name in part})
            fare = (part["fare"] * random.uniform(0.8, 1.2, size)).clip(0, 999).round(2)
            age = (part["age"] + random.normal(0, 2, size)).clip(0.1, 119).round(1)
            piece = pa.Table.from_pandas(
                pd.DataFrame(part).assign(fare=fare, age=age), table.schema, preserve_index=False
            )
            csv_file.write_table(piece)
            parquet_file.write_table(piece)
            one_group.append(piece)
            left -= size
    whole = pa.concat_tables(one_group)
    pa.parquet.write_table(whole, target / "one-group.parquet", row_group_size=len(whole))


def bare(source: str) -> None:
    """Print the seconds of the processor that ONNX Runtime takes for rows in memory, as arrays of its inputs.

    And the share of the first of them that differ to the trees of the model: batch scoring scores these alone.
    """
    import onnxruntime
    import pandas as pd
    import pyarrow.parquet
    from titanic_survival import config
    from titanic_survival.toolkit.contract import arrow_rows
    from titanic_survival.toolkit.release.store import Store
    from titanic_survival.toolkit.version.row_groups import METADATA, EqualRows

    store = Store(config.settings().store)
    version = store.load(store.release().champion)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(version.folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    table = pyarrow.parquet.read_table(source)
    arrays: dict[str, Any] = {}
    for name in [tensor.name for tensor in session.get_inputs()]:
        values = table[name].to_pandas()
        is_number = pd.api.types.is_numeric_dtype(values)
        arrays[name] = (values.astype("float32") if is_number else values.astype(object).fillna("")).to_numpy()[:, None]

    def seconds(block: int, count: int) -> float:
        feeds = [{name: array[i : i + block] for name, array in arrays.items()} for i in range(0, count, block)]
        start = time.process_time()
        for feed in feeds:
            session.run(None, feed)
        return time.process_time() - start

    trial = min(TRIAL_ROWS, len(table))
    block = min(BLOCKS, key=lambda block: seconds(block, trial))
    columns = arrow_rows.check_features(table.slice(0, trial), version.contract).columns
    equal_rows = EqualRows.of(version.contract, session.get_modelmeta().custom_metadata_map[METADATA])
    different = len(equal_rows.groups(columns).scored) / trial
    found = {"seconds": seconds(block, len(table)), "block": block, "trial": trial, "different": different}
    print(json.dumps(found))


def plain(source: str, target: str, model: str) -> None:
    """Score a CSV file as a script without this project would."""
    import mlflow
    import pandas as pd

    frame = pd.read_csv(source)
    predictions = mlflow.pyfunc.load_model(model).predict(frame)
    added = predictions if isinstance(predictions, pd.DataFrame) else pd.DataFrame({"survived": predictions})
    frame.join(added).to_csv(target, index=False)


if __name__ == "__main__":
    {"rows": rows, "bare": bare, "plain": plain}[sys.argv[1]](*sys.argv[2:])
