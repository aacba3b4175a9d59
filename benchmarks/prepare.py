"""Run in the project's environment: save the model as peers load it, and print what the benchmark needs to know."""

import json
import sys
import time
from pathlib import Path

import bentoml
import mlflow
from titanic_survival import config
from titanic_survival.model import data, pipeline, schema
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import from_rows
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.training import dataset

target = Path(sys.argv[1])
contract = derive(schema.Row, schema.Prediction)
rows = dataset.labelled_rows(data.load(), contract)
frame = dataframes.as_frame(rows.columns, contract)
fitted = pipeline.build().fit(frame, dataframes.training_label(rows.label))
mlflow.sklearn.save_model(fitted, target, serialization_format="cloudpickle", pip_requirements=["scikit-learn"])
bentoml.mlflow.import_model("titanic-peer", str(target))

store = Store(config.settings().store)
release = store.release()
version = store.load(release.champion)
samples = [
    {"sex": row.sex, "age": row.age, "passenger_class": row.passenger_class, "fare": row.fare, "port": row.port}
    | {"siblings_spouses": row.siblings_spouses, "parents_children": row.parents_children}
    for row in rows.table.dropna().head(1000).itertuples()
]
columns = from_rows(samples, version.contract)
times = []
for _ in range(50):
    start = time.perf_counter()
    version.runtime.score(columns)
    times.append(time.perf_counter() - start)
print(json.dumps({"rows": samples, "bare_seconds": sorted(times)[len(times) // 2], "runtime": version.runtime.name}))
