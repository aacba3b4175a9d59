"""Compare `make stream` with a plain consumer loop that calls mlflow.pyfunc for each message; writes stream.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .project import ROOT, environment, generate, make, python

HERE = Path(__file__).parent


def main() -> None:
    """Measure in a generated project, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=300_000)
    parser.add_argument("--project", type=Path, help="a project that is trained and has the extra kafka")
    arguments = parser.parse_args()
    project = arguments.project or _generate()
    paths = [str(project), str(ROOT / "tests" / "toolkit" / "streaming")]
    env = environment(project) | {"PYTHONPATH": os.pathsep.join(paths), "TEMPLATE_PYTHON": sys.executable}
    command = [python(project), str(HERE / "stream_load.py"), str(arguments.messages)]
    done = subprocess.run(command, cwd=project, env=env, check=True, stdout=subprocess.PIPE, text=True)
    text = _table(json.loads(done.stdout.splitlines()[-1]))
    (HERE / "stream.md").write_text(text)
    print(text)


def _generate() -> Path:
    project = generate(ROOT / "build" / "stream")
    make(project, "setup", "EXTRAS=kafka")
    return project


def _table(found: dict[str, Any]) -> str:
    stream, plain = found["stream"], found["plain"]
    loads = found["latency"]
    lines = [
        "# Streams",
        "",
        f"{os.cpu_count()} cores; the consumer has one, the broker in memory and the load have the others; four",
        "partitions, the sample model. `make bench-stream` measures anew; ratios compare within one run.",
        "",
        "| consumer | messages/s | per second of its processor time | stream / it, by processor time |",
        "| --- | ---: | ---: | ---: |",
        f"| make stream | {stream[0]:,.0f} | {stream[1]:,.0f} | 1 |",
        f"| poll, `mlflow.pyfunc` predict, send | {plain[0]:,.0f} | {plain[1]:,.0f} | {stream[1] / plain[1]:,.0f} |",
        "",
        "From the moment before a row is sent until its prediction is consumed:",
        "",
        "| load, messages/s | p50, ms | p99, ms | largest, ms |",
        "| ---: | ---: | ---: | ---: |",
        *(f"| {load['rate']:,.0f} | {load['p50']:.1f} | {load['p99']:.1f} | {load['max']:.1f} |" for load in loads),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
