"""What training costs beside the model's own fit and predict: seconds and memory of each step, for some rows."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .project import ROOT, environment, make, python

FOLDER, HERE = ROOT / "build" / "training", Path(__file__).parent
MB = 1e6


def main() -> None:
    """Train once on generated rows, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    rows = parser.parse_args().rows
    project = _generate()
    command = [python(project), str(HERE / "training_steps.py")]
    env = environment(project) | {"BENCH_ROWS": str(rows), "PYTHONPATH": str(project)}
    done = subprocess.run(command, cwd=project, env=env, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    beside = found["total"] - found["fit"] - found["predict"]
    loading = next(step["seconds"] for step in found["steps"] if step["step"] == "load")
    print(f"{rows} rows, a table of {found['table'] / MB:.0f} MB; {os.cpu_count()} cores. Memory is counted beside the")
    print(f"{found['before'] / MB:.0f} MB that the process has before the rows are loaded.\n")
    print("| step | s | CPU s | peak, MB | after, MB |\n| --- | ---: | ---: | ---: | ---: |")
    for step in found["steps"]:
        peak, after = ((step[key] - found["before"]) / MB for key in ("peak", "after"))
        print(f"| {step['step']} | {step['seconds']:.1f} | {step['cpu']:.1f} | {peak:.0f} | {after:.0f} |")
    peak = max(step["peak"] for step in found["steps"]) - found["before"]
    print(f"\nfit {found['fit']:.1f} s, predict {found['predict']:.1f} s, all else {beside:.1f} s", end=", ")
    print(f"of which {loading:.1f} s to load; at most {peak / max(found['table'], 1):.1f} times the table")


def _generate() -> Path:
    """Generate a project with the four files of `large`, and set it up."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    bake = [sys.executable, "-m", "cookiecutter", str(ROOT), "--no-input", "--output-dir", str(FOLDER)]
    subprocess.run(bake, check=True, stdout=subprocess.DEVNULL)
    project = FOLDER / "titanic-survival"
    files = project / "titanic_survival" / "model"
    (files / "data.py").rename(files / "sample.py")
    for file in (HERE / "large").glob("*.py"):
        shutil.copy(file, files)
    make(project, "setup")
    return project


if __name__ == "__main__":
    main()
