"""Run in the project's environment: train once, and print what each step cost as JSON.

The kernel keeps the most memory that a process had, and forgets it when it is asked to: so each step has its own peak.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from titanic_survival import config, train
from titanic_survival.model import data
from titanic_survival.toolkit.common import console
from titanic_survival.toolkit.training import evaluation, fitting

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
show, load = console.step, data.load
steps: list[dict[str, Any]] = []
#: Seconds of the calls of the model itself, and the bytes of the table.
figures = {"fit": 0.0, "predict": 0.0, "table": 0, "before": 0}


def memory(key: str) -> int:
    """Return a figure of the kernel in bytes: VmRSS is now, VmHWM the peak."""
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith(key))


@contextmanager
def measured(name: str) -> Iterator[console.Step]:
    """Measure a step."""
    FORGET.write_text("5")
    start, cpu = time.perf_counter(), time.process_time()
    with show(name) as step:
        yield step
    seconds = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    steps.append({"step": name} | seconds | {"peak": memory("VmHWM"), "after": memory("VmRSS")})


def timed(owner: Any, name: str, kind: str) -> None:
    """Add the seconds in a function to a figure."""
    function: Callable[..., Any] = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            figures[kind] += time.perf_counter() - start

    setattr(owner, name, call)


def sized() -> Any:
    """Load the rows, and remember how much memory they take."""
    figures["before"] = memory("VmRSS")
    rows = load()
    figures["table"] = int(rows.memory_usage(deep=True).sum())
    return rows


if __name__ == "__main__":
    data.load, console.step = sized, measured
    timed(fitting, "fit", "fit")
    # Of the calls of the runtime, that for all hold-out rows is the first one in `evaluate`.
    original = evaluation.evaluate

    def evaluate(model: Any, rows: Any, *others: Any) -> Any:
        """Time the scoring of all hold-out rows once, beside the step."""
        runtime, score = model.runtime, model.runtime.score

        def first(columns: Any) -> Any:
            runtime.score = score
            start = time.perf_counter()
            try:
                return score(columns)
            finally:
                figures["predict"] += time.perf_counter() - start

        runtime.score = first
        return original(model, rows, *others)

    train.evaluate = evaluate
    begin = time.perf_counter()
    train.run(config.settings())
    print(json.dumps({"steps": steps, "total": time.perf_counter() - begin} | figures))
