"""Measure `make monitor` on generated logs, beside a plain pandas script: seconds, memory, and seconds by rows.

The table is printed and written to benchmarks/monitor.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from .project import ROOT, environment, generate, python

FOLDER, HERE = ROOT / "build" / "monitor", Path(__file__).parent
STEPS = str(HERE / "monitor_steps.py")
PACKAGE = "titanic_survival"
MB = 1e6
EXPLANATION = """`make bench-monitor` measures anew. The log has rows of the sample data of the last six days,
{block} in a line, and a label for each of {labels:.0%} of them.

Each line is a command from its start to its end; CPU s are those of the processors, which bound the duration where
others use them too. The memory is the largest sum of all processes of the command (proportional set size). *Plain* is
the script of docs/monitoring.md: it reads all lines into a DataFrame, joins the labels, and counts the drift of one
feature and the accuracy, without intervals.
"""


class Run(NamedTuple):
    """A command: its duration and its processor time in seconds, and its peak memory in bytes."""

    seconds: float
    cpu: float
    peak: int


def main() -> None:
    """Measure each number of rows, and print a table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: int(float(text)), nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--block", type=int, default=1000, help="rows in a line of the log")
    parser.add_argument("--labels", type=float, default=0.05, help="share of the rows that have a label")
    parser.add_argument(
        "--plain", type=lambda text: int(float(text)), default=1_000_000, help="most rows of the script"
    )
    parser.add_argument("--keep", action="store_true", help="measure the project that an earlier call has generated")
    options = parser.parse_args()
    project = FOLDER / "titanic-survival"
    if not options.keep or not project.exists():
        generate(FOLDER)
    cores = len(os.sched_getaffinity(0))
    report = f"# Monitor\n\nPython {platform.python_version()}, {_processor()}, {cores} cores. "
    report += EXPLANATION.format(block=options.block, labels=options.labels)
    report += (
        "\n| rows | log MB | run | s | CPU s | peak MB | rows/s |\n| ---: | ---: | --- | ---: | ---: | ---: | ---: |\n"
    )
    print(report, end="", flush=True)
    for rows in options.rows:
        log = FOLDER / "log"
        shutil.rmtree(log, ignore_errors=True)
        run(project, [STEPS, "log", str(log), str(rows), str(options.block), str(options.labels)])
        size = sum(file.stat().st_size for file in log.iterdir()) / MB
        runs = {"make monitor": ["-m", PACKAGE, "monitor", str(log)]}
        if rows <= options.plain:
            runs["plain"] = [STEPS, "plain", str(log)]
        for name, arguments in runs.items():
            found = run(project, arguments)
            line = (
                f"| {rows:,} | {size:,.0f} | {name} | {found.seconds:.1f} | {found.cpu:.1f} | {found.peak / MB:,.0f} | "
            )
            line += f"{rows / found.seconds:,.0f} |\n"
            print(line, end="", flush=True)
            report += line
        shutil.rmtree(log)
    (HERE / "monitor.md").write_text(report)


def run(project: Path, arguments: list[str]) -> Run:
    """Run the project's Python, and watch the memory of all its processes."""
    env = environment(project) | {"PYTHONPATH": str(project), "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db"}
    start, peak, ended = time.perf_counter(), [0], threading.Event()
    process = subprocess.Popen(
        [python(project), *arguments], cwd=project, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    )

    def watch() -> None:
        while not ended.wait(0.1):
            peak[0] = max(peak[0], _memory(process.pid))

    threading.Thread(target=watch, daemon=True).start()
    assert process.stdout
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{output}")
    return Run(time.perf_counter() - start, used.ru_utime + used.ru_stime, peak[0])


def _memory(session: int) -> int:
    """Return the proportional set size of the processes of a session, in bytes."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        except OSError:  # it has ended meanwhile
            continue
    return total


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
