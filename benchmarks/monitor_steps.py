"""Run in the project's environment: write a log as the service does, or analyse one as a plain script does."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

AT_ONCE = 20_000
DAYS = 6


def log(folder: str, count: str, block: str, labelled: str) -> None:
    """Write predictions of rows of the sample data, evenly spread over the last days, and labels of a share of them."""
    import orjson
    from titanic_survival import config
    from titanic_survival.model import data
    from titanic_survival.toolkit.contract import dataframes
    from titanic_survival.toolkit.contract.columns import take
    from titanic_survival.toolkit.monitoring.prediction_ids import IdGenerator
    from titanic_survival.toolkit.monitoring.prediction_log import LogFile
    from titanic_survival.toolkit.monitoring.recorder import Block, log_line
    from titanic_survival.toolkit.release.store import Store

    settings = config.settings()
    store = Store(settings.store)
    number = store.required_release().champion
    version = store.load(number)
    table = data.load()
    columns = dataframes.check_features(table, version.contract).columns
    scores, label = version.runtime.score(columns), table["survived"].to_numpy(bool)
    ids = IdGenerator(settings.model_name, number, *version.contract.labels)
    predictions, feedback = (LogFile(Path(folder), name, 10**12) for name in ("predictions", "feedback"))
    counters: Any = SimpleNamespace(number=number, contract=version.contract)
    random, rows, size, end = np.random.default_rng(0), int(count), int(block), time.time()
    for start in range(0, rows, AT_ONCE):
        where = random.integers(len(label), size=min(AT_ONCE, rows - start))
        names = ids.make(take(scores, where))
        seconds = end - DAYS * 86_400 * (1 - np.arange(start, start + len(where)) / rows)
        times = (seconds * 1e6).astype(np.int64).astype("datetime64[us]")
        lines = []
        for first in range(0, len(where), size):
            part, chosen = slice(first, first + size), where[first : first + size]
            inputs, outputs = take(columns, chosen), take(scores, chosen)
            none = np.zeros(len(chosen), int)
            lines.append(log_line(Block(counters, False, times[part], names[part], [None], none, inputs, outputs)))
        predictions.append(b"".join(lines))
        taken = np.flatnonzero(random.random(len(where)) < float(labelled)).tolist()
        now = {"time": "2026-01-01T00:00:00.000000+00:00", "version": number}
        labels = [now | {"id": names[i], "survived": bool(label[where[i]])} for i in taken]
        feedback.append(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in labels))


def plain(folder: str) -> None:
    """Read a log into a DataFrame, as docs/monitoring.md shows, and print drift of the fares and the accuracy."""
    blocks = [json.loads(line) for path in Path(folder).glob("predictions-*.jsonl") for line in path.open()]
    rows = pd.concat(
        pd.DataFrame({"id": b["id"], "version": b["version"], **b["inputs"], **b["outputs"]}) for b in blocks
    )
    labels = pd.DataFrame(json.loads(line) for path in Path(folder).glob("feedback-*.jsonl") for line in path.open())
    joined = rows.merge(labels, on=["id", "version"], suffixes=("", "_actual"))
    print(pd.cut(rows["fare"], 10).value_counts(), (joined["survived"] == joined["survived_actual"]).mean())


if __name__ == "__main__":
    {"log": log, "plain": plain}[sys.argv[1]](*sys.argv[2:])
