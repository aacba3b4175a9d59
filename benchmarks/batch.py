"""Compare batch scoring with the bare ONNX model and with a plain script: seconds, rows a second, memory, ratios.

The table is printed and written to benchmarks/batch.md, which says what is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

from .process_runs import Run, processor, run
from .project import ROOT, generate

FOLDER, HERE = ROOT / "build" / "batch", Path(__file__).parent
STEPS = str(HERE / "batch_steps.py")
PACKAGE = "titanic_survival"
#: The models of plain scripts.
SCRIPTS = {"scikit-learn": str(FOLDER / "model"), "this project's version": "models:/titanic-survival@champion"}
FILES = {"CSV": "rows.csv", "Parquet": "rows.parquet", "Parquet, one row group": "one-group.parquet"}
MB = 1e6
EXPLANATION = """`make bench-batch` measures anew; rows are those of the sample data with other ages and fares. With
`ARGS=--mixed`, each value is that of another row, so that fewer rows are alike. Of rows that are equal to the trees of
the model, on the same side of each of their thresholds, a version of this project has ONNX Runtime score one.

Each line is a process of its own, from its start to its end. On one core, rows/s and ratios are of its time of the
processor (CPU s), which is its duration where nothing else runs; on several, of its duration (s). *Bare* is ONNX
Runtime on one core, on rows that are arrays in memory already, in their own order, in calls of the number of rows that
is fastest; nothing is read, checked or written. *After the start* leaves out what one row takes: imports
and the registry. *Plain* is a script with `pandas.read_csv`, `mlflow.pyfunc.load_model`, `predict` and `to_csv`, on the
same CSV file and cores: with the same pipeline logged by `mlflow.sklearn`, or with a version of this project, whose
MLflow model runs ONNX too.
"""


def main() -> None:
    """Measure each number of rows, and print a table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: int(float(text)), nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=2, help="runs of each, of which the best counts")
    parser.add_argument("--keep", action="store_true", help="measure the project that an earlier call has generated")
    parser.add_argument("--mixed", action="store_true", help="rows whose values are those of different rows")
    parser.add_argument("--no-plain", action="store_true", help="do not run the plain scripts, which are slow")
    options = parser.parse_args()
    project = FOLDER / "titanic-survival"
    if not options.keep or not project.exists():
        generate(FOLDER)
        run(project, [str(HERE / "prepare.py"), str(FOLDER / "model")])
    cores = sorted(os.sched_getaffinity(0))
    bench = Bench(project, cores, options.runs, {} if options.no_plain else SCRIPTS, mixed=options.mixed)
    for rows in options.rows:
        bench.measure(rows)
    (HERE / "batch.md").write_text(bench.report)


class Bench:
    """Runs what is compared, and prints a line for each."""

    def __init__(
        self, project: Path, cores: list[int], runs: int, scripts: dict[str, str], *, mixed: bool = False
    ) -> None:
        self._project, self._cores, self._runs, self._scripts, self._mixed = project, cores, runs, scripts, mixed
        self.report = ""
        self._say(f"# Batch\n\nPython {platform.python_version()}, {processor()}, {len(cores)} cores. {EXPLANATION}\n")
        self._make_rows(1)
        start = self._ours("rows.csv", cores[:1])
        self._start = start.cpu
        self._say(f"The command takes {start.cpu:.1f} s of the processor and {start.peak / MB:.0f} MB for one row.")

    def measure(self, rows: int) -> None:
        """Print a table for a number of rows."""
        self._make_rows(rows)
        bare = json.loads(self._best([STEPS, "bare", str(FOLDER / "rows.parquet")], self._cores[:1]).output)
        self._say(f"\n## {rows:,}{' mixed' if self._mixed else ''} rows\n")
        self._say(f"Of the first {bare['trial']:,}, {bare['different']:.0%} differ to the trees of the model.\n")
        self._say("| run | cores | s | CPU s | rows/s | peak MB | bare / it | after the start | plain / it |")
        self._say("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        seconds = bare["seconds"]
        first = f"| bare ONNX, {bare['block']:,} rows a call | 1 | | {seconds:.1f}"
        self._say(f"{first} | {rows / seconds:,.0f} | | 1.00 | 1.00 | |")
        for cores in (self._cores[:1], self._cores)[: len(self._cores)]:
            plain = None
            for name, model in self._scripts.items():
                found = self._script("rows.csv", model, cores)
                plain = plain or found
                self._line(f"plain script, {name}", rows, cores, found, plain)
            for name, file in FILES.items():
                self._line(name, rows, cores, self._ours(file, cores), plain, seconds)

    def _say(self, line: str) -> None:
        print(line, flush=True)
        self.report += f"{line}\n"

    def _line(self, name: str, rows: int, cores: list[int], found: Run, plain: Run | None, bare: float = 0) -> None:
        one = len(cores) == 1
        took = found.cpu if one else found.seconds
        figures = f"{found.seconds:.1f} | {found.cpu:.1f} | {rows / took:,.0f} | {found.peak / MB:.0f}"
        whole, later = bare / found.cpu, bare / max(found.cpu - self._start, 0.1)
        ratios = f"{whole:.2f} | {later:.2f}" if one and bare else "|"
        slower = f"{(plain.cpu if one else plain.seconds) / took:.1f}" if plain else ""
        self._say(f"| {name} | {len(cores)} | {figures} | {ratios} | {slower} |")

    def _make_rows(self, rows: int) -> None:
        run(self._project, [STEPS, "rows", str(rows), str(FOLDER), *(["mixed"] if self._mixed else [])])

    def _ours(self, file: str, cores: list[int]) -> Run:
        output = FOLDER / f"scored{Path(file).suffix}"
        return self._best(["-m", PACKAGE, "predict", str(FOLDER / file), str(output)], cores)

    def _script(self, file: str, model: str, cores: list[int]) -> Run:
        return self._best([STEPS, "plain", str(FOLDER / file), str(FOLDER / "scored.csv"), model], cores)

    def _best(self, arguments: list[str], cores: list[int]) -> Run:
        return min((run(self._project, arguments, cores) for _ in range(self._runs)), key=lambda found: found.seconds)


if __name__ == "__main__":
    main()
