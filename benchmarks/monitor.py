"""Measure `make monitor` on generated logs, beside a plain pandas script: seconds, memory, and seconds by rows.

The table is printed and written to benchmarks/monitor.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from pathlib import Path

from .process_runs import processor, run
from .project import ROOT, generate

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
    report = f"# Monitor\n\nPython {platform.python_version()}, {processor()}, {cores} cores. "
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
            found = run(project, arguments, with_children=True)
            line = (
                f"| {rows:,} | {size:,.0f} | {name} | {found.seconds:.1f} | {found.cpu:.1f} | {found.peak / MB:,.0f} | "
            )
            line += f"{rows / found.seconds:,.0f} |\n"
            print(line, end="", flush=True)
            report += line
        shutil.rmtree(log)
    (HERE / "monitor.md").write_text(report)


if __name__ == "__main__":
    main()
